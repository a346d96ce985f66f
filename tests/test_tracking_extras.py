"""What Weights & Biases keeps of a run."""

import importlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rl_transfer import tracking
from rl_transfer.errors import ConfigError
from rl_transfer.results import PLAYED
from rl_transfer.tracking import NamedRun
from test_tracking import place

__all__ = ["place"]


def test_weights_and_biases_keeps_a_run_offline(
    place: NamedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with tracking.tracking("wandb:curves", tmp_path, PLAYED) as log:
        assert log is not None
        log.add(place)
    assert log.problem is None
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-0123456789abcdef.wandb")
    records = list(read_wandb(file))
    (run,) = (each.run for each in records if each.HasField("run"))
    assert (run.run_id, run.project, run.run_group, run.job_type) == (
        "0123456789abcdef", "curves", "suite", "target",
    )  # fmt: skip
    assert run.display_name == place.name
    assert list(run.tags) == ["base", "hard", "x" * 64]
    assert {each.key: json.loads(each.value_json) for each in run.config.update if each.key != "_wandb"} == {
        "kind": "rl", "seed": 3,
    }  # fmt: skip
    history = [values(each.history.item) for each in records if each.HasField("history")]
    assert [(each["_step"], each["evaluation/mean_return"]) for each in history] == [
        (0, 0.5), (32, 1.5), (64, 2.5),
    ]  # fmt: skip
    summary = {key: value for each in records for key, value in values(each.summary.update).items()}
    assert summary["final/mean_return"] == 2.5


def values(items: Any) -> dict[str, Any]:
    return {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in items}


def read_wandb(file: Path) -> Iterator[Any]:
    """Records of a ``.wandb`` file: a header of 7 bytes, then LevelDB's log format in blocks of 32 KiB."""
    protocol: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")

    content, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            record = protocol.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def test_who_is_not_known_there_is_told_how_to_stay_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"set WANDB_MODE=offline"):
        tracking.open_tracker("wandb", tmp_path)


@pytest.mark.parametrize("project", ["a/b", "a#b"])
def test_a_project_that_it_does_not_take_is_refused(project: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--track wandb:"):
        tracking.open_tracker(f"wandb:{project}", tmp_path)
