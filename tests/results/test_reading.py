"""What is made of a run whose files are not what its record says, or whose record says nothing of them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import read_record
from rl_transfer.results.reading import RunReading, parse_curve, read_run
from rl_transfer.results.seal import intact, sealed
from support.records import as_old, write_finished, write_record


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_finished(tmp_path / "abc")
    return tmp_path / "abc"


def old(run: Path) -> Path:
    """The run as 0.1.0 wrote it: no digest guards its files."""
    write_finished(run)
    as_old(run)
    return run


def bundle(run: Path, content: str | None, *, tensors: bool = True) -> None:
    (run / "bundle").mkdir(exist_ok=True)
    if content is not None:
        (run / "bundle" / "bundle.json").write_text(content, encoding="utf-8")
    if tensors:
        (run / "bundle" / "tensors.safetensors").write_bytes(b"12345")


def test_a_folder_without_a_record_is_unfinished(tmp_path: Path) -> None:
    assert read_run(tmp_path, None) == RunReading("unfinished", "unfinished", None, None, on_trust=False)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"error": "ValueError", "message": "boom\\nmore"}', "failed: boom"),
        ('{"error": "ValueError", "message": ""}', "failed: ValueError"),
        ("{}", "failed: see its log.txt"),
        ('"boom"', "failed: boom"),
    ],
)
def test_a_failure_is_told_by_its_first_line(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "failure.json").write_text(content, encoding="utf-8")
    assert read_run(tmp_path, None) == RunReading("failed", problem)


def test_a_failure_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "failure.json").write_text("{", encoding="utf-8")
    reading = read_run(tmp_path, None)
    assert reading.state == "failed"
    assert str(reading.problem).startswith("failed: failure.json cannot be read (")


def test_a_record_alone_is_read_where_it_is_sound(run: Path) -> None:
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert read_record(run) == record
    assert read_record(run / "nowhere") is None
    (run / "record.json").write_text(json.dumps({**record, "total_steps": 1}), encoding="utf-8")
    assert read_record(run) is None


def test_a_record_without_a_digest_is_that_of_0_1_0_alone(run: Path) -> None:
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    del record["digest"]
    (run / "record.json").write_text(json.dumps(record), encoding="utf-8")
    assert str(read_run(run, "abc").problem).startswith("damaged: record.json was changed")


def test_a_record_of_0_1_0_that_has_a_digest_is_of_no_version(run: Path) -> None:
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    (run / "record.json").write_text(json.dumps(sealed({**record, "schema": 1})), encoding="utf-8")
    with pytest.raises(StoreError, match="has schema 1"):
        read_run(run, "abc")


def test_nothing_that_is_sealed_holds_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sealed({"score": float("nan")})
    assert intact({"score": float("nan"), "digest": "0"}) is False


@pytest.mark.parametrize(
    "name", ["spec.json", "curve.jsonl", "bundle/bundle.json", "bundle/tensors.safetensors"]
)
def test_a_folder_in_the_place_of_a_file_is_damage(name: str, run: Path) -> None:
    bundle(run, "{}")
    write_record(run, json.loads((run / "record.json").read_text(encoding="utf-8")))
    assert read_run(run, "abc", bundle=True).state == "finished"
    (run / name).unlink()
    (run / name).mkdir()
    assert (
        read_run(run, "abc", bundle=True).problem == f"damaged: {name} cannot be read (it is no regular file)"
    )


def test_a_bundle_is_read_where_it_is_asked_for(run: Path) -> None:
    bundle(run, "{}")
    write_record(run, json.loads((run / "record.json").read_text(encoding="utf-8")))
    bundle(run, "[]")
    assert read_run(run, "abc").state == "finished"
    assert read_run(run, "abc", bundle=True).state == "damaged"


def test_a_curve_beyond_its_bound_is_damage(run: Path) -> None:
    os.truncate(run / "curve.jsonl", 256 * 2**20 + 1)
    assert read_run(run, "abc").problem == "damaged: curve.jsonl cannot be read (it is larger than 256 MiB)"


@pytest.mark.parametrize(("each", "most"), [(b"{", 2**20), (b"[", 3 * 2**20), (b'"', 10 * 2**20)])
def test_what_would_take_gigabytes_is_refused_before_it_is_parsed(each: bytes, most: int) -> None:
    """Small objects, lists and texts, of which no curve has so many."""
    with pytest.raises(ValueError, match="it holds more than 1,048,576 evaluations"):
        parse_curve(b"no JSON" + each * (most + 1))
    with pytest.raises(ValueError, match="Expecting value"):
        parse_curve(b"no JSON" + each * most)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", None),
        ('{"seed": 1}', "damaged: spec.json is not the config in the record"),
        ("{", "damaged: spec.json cannot be read ("),
    ],
)
def test_a_config_that_no_digest_guards_is_that_of_the_record(
    content: str, problem: str | None, tmp_path: Path
) -> None:
    run = old(tmp_path / "abc")
    (run / "spec.json").write_text(content, encoding="utf-8")
    reading = read_run(run, "abc")
    assert (reading.state, reading.on_trust) == (
        ("finished", True) if problem is None else ("damaged", False)
    )
    assert str(reading.problem).startswith(str(problem))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: f"\n{text}\n  \n", None),
        (lambda _: "", "damaged: curve.jsonl cannot be used (it is empty)"),
        (lambda _: "\n", "damaged: curve.jsonl cannot be used (it is empty)"),
    ],
)
def test_a_curve_that_no_digest_guards_may_have_empty_lines_but_not_those_alone(
    change: Callable[[str], str], problem: str | None, tmp_path: Path
) -> None:
    run = old(tmp_path / "abc")
    curve = run / "curve.jsonl"
    curve.write_text(change(curve.read_text(encoding="utf-8")), encoding="utf-8")
    assert read_run(run, "abc").problem == problem


def test_a_run_of_0_1_0_that_was_not_measured_has_no_curve(tmp_path: Path) -> None:
    run = tmp_path / "abc"
    write_finished(run, measured=False)
    as_old(run)
    (run / "curve.jsonl").unlink()
    assert read_run(run, "abc") == RunReading("finished", None, read_record(run), None, on_trust=True)


@pytest.mark.parametrize(
    ("content", "tensors", "problem"),
    [
        ('{"metadata": {"run": "abc"}}', True, None),
        ('{"metadata": {}}', False, None),
        ('{"metadata": []}', False, None),
        ("[]", False, None),
        (None, True, None),
        ('{"metadata": {"run": "other"}}', False, "damaged: the bundle is that of run other"),
        ("{", True, "damaged: "),
    ],
)
def test_a_bundle_of_0_1_0_is_that_of_its_run(
    content: str | None, tensors: bool, problem: str | None, tmp_path: Path
) -> None:
    run = old(tmp_path / "abc")
    bundle(run, content, tensors=tensors)
    reading = read_run(run, "abc", bundle=True)
    assert reading.state == ("finished" if problem is None else "damaged")
    assert str(reading.problem).startswith(str(problem))


@pytest.mark.parametrize("said", [[True, False], [0.5], ["yes"], 3])
def test_successes_are_one_truth_per_return(tmp_path: Path, said: object) -> None:
    run = old(tmp_path / "abc")
    points = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    sound = [{**point, "successes": [True] * len(point["returns"])} for point in points]
    (run / "curve.jsonl").write_text("".join(json.dumps(point) + "\n" for point in sound))
    assert read_run(run, None).state == "finished"
    points[-1]["successes"] = said
    (run / "curve.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    assert (read_run(run, None).problem or "").startswith("damaged: curve.jsonl cannot be used")
