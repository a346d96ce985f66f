"""The comparison of ways to execute a suite notices a table, a run or a number that differs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import same_tables

RECORD = {"id": "a", "weights_digest": "x", "wall_seconds": 1.0}
ALIKE = {"summary": "table", "record": RECORD}


def sweeps(last: dict[str, object]) -> Callable[..., None]:
    def sweep(config: list[str], output: Path, *arguments: str) -> None:
        found = last if output.name == f"out-{len(same_tables.WAYS) - 1}" else ALIKE
        run = output / "runs" / "a"
        run.mkdir(parents=True)
        (output / "summary.json").write_text(str(found["summary"]), encoding="utf-8")
        (run / "record.json").write_text(json.dumps(found["record"]), encoding="utf-8")
        (run / "curve.jsonl").write_text("", encoding="utf-8")

    return sweep


@pytest.mark.parametrize(
    ("last", "code", "says"),
    [
        (
            {**ALIKE, "record": {**RECORD, "wall_seconds": 2.0}},
            0,
            "1 of 1 runs the same, summary.json the same",
        ),
        ({**ALIKE, "record": {**RECORD, "weights_digest": "y"}}, 1, "0 of 1 runs the same"),
        ({**ALIKE, "record": {**RECORD, "id": "b"}}, 1, "0 of 1 runs the same"),
        ({**ALIKE, "summary": "another"}, 1, "summary.json DIFFERS"),
    ],
    ids=["clock times", "weights", "another run", "table"],
)
def test_what_differs_is_told(
    last: dict[str, object],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(same_tables, "sweep", sweeps(last))
    assert same_tables.main(["--no-ray"]) == code
    assert says in capsys.readouterr().out.splitlines()[-1]
