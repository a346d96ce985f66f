"""The run store: a record means finished, finished is never overwritten, leftovers are cleared."""

import os
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import RunStore, find_run, read_json, run_id, write_json
from rl_transfer.spec import Environment, Evaluation, RLRun
from support.untyped import untyped


def spec(seed: int = 0, env: str = "CartPole-v1") -> RLRun:
    return RLRun(env=Environment(id=env), policy="random", evaluation=Evaluation(every=1), seed=seed)


def test_the_id_depends_on_what_can_change_the_result() -> None:
    assert run_id(spec()) == run_id(spec())
    assert len({run_id(spec()), run_id(spec(1)), run_id(spec(env="Acrobot-v1"))}) == 3


def test_a_run_is_finished_once_its_record_is_there(tmp_path: Path) -> None:
    folder = RunStore(tmp_path).open().folder("abc")
    folder.begin(spec())
    folder.append_evaluation(0, 0, [1.0, 2.0], [3, 4])
    assert not folder.finished
    folder.finish({"total_steps": 0})
    assert untyped(folder).finished
    assert folder.record()["id"] == "abc"
    assert folder.curve() == [{"evaluation": 0, "step": 0, "returns": [1.0, 2.0], "lengths": [3, 4]}]


def test_a_finished_run_is_never_overwritten(tmp_path: Path) -> None:
    folder = RunStore(tmp_path).folder("abc")
    folder.begin(spec())
    folder.finish({})
    with pytest.raises(StoreError, match="never overwritten"):
        folder.begin(spec())


def test_what_an_interrupted_attempt_left_behind_is_cleared(tmp_path: Path) -> None:
    folder = RunStore(tmp_path).folder("abc")
    folder.begin(spec())
    folder.append_evaluation(0, 0, [1.0], [1])
    folder.fail("ValueError", "boom")
    folder.tensorboard.mkdir()
    folder.begin(spec())
    assert folder.curve() == []
    assert folder.failure() is None
    assert not folder.tensorboard.exists()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.json"
    write_json(path, {"old": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["data.json"]


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": ', encoding="utf-8")
    with pytest.raises(StoreError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")


def test_a_folder_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="choose another with --output"):
        RunStore(tmp_path / "file").open()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with store.lock(), pytest.raises(StoreError, match="another rl-transfer process"), store.lock():
        pass
    with store.lock():
        pass


def test_a_run_is_found_by_its_folder_or_its_only_store(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with pytest.raises(StoreError, match="neither a finished run nor a policy bundle"):
        find_run(tmp_path)
    first = store.folder("a")
    first.begin(spec())
    with pytest.raises(StoreError, match="has not finished"):
        find_run(first.path)
    first.finish({})
    assert find_run(tmp_path) == find_run(first.path) == first
    second = store.folder("b")
    second.begin(spec(1))
    second.finish({})
    with pytest.raises(StoreError, match="holds 2 finished runs"):
        find_run(tmp_path)
