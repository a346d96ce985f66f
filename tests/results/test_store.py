"""The run store: finished means verified, finished is never overwritten, leftovers are cleared."""

import errno
import os
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import RunFolder, RunStore, find_run, read_json, run_id, run_of_bundle, write_json
from rl_transfer.results.seal import sealed
from rl_transfer.spec import Environment, Evaluation, RLRun
from support.untyped import untyped


def spec(seed: int = 0, env: str = "CartPole-v1") -> RLRun:
    return RLRun(env=Environment(id=env), policy="random", evaluation=Evaluation(every=1), seed=seed)


def test_the_id_depends_on_what_can_change_the_result() -> None:
    assert run_id(spec()) == run_id(spec())
    assert len({run_id(spec()), run_id(spec(1)), run_id(spec(env="Acrobot-v1"))}) == 3


def test_a_run_is_finished_once_its_record_is_there(folder: RunFolder) -> None:
    folder.begin(spec())
    folder.append_evaluation(0, 0, [1.0, 2.0], [3, 4])
    assert not folder.finished
    folder.finish({"total_steps": 0})
    assert untyped(folder).finished
    assert folder.record()["id"] == "abc"
    assert folder.curve() == [{"evaluation": 0, "step": 0, "returns": [1.0, 2.0], "lengths": [3, 4]}]


def finished(folder: RunFolder, seed: int = 0) -> RunFolder:
    folder.begin(spec(seed))
    folder.append_evaluation(0, 0, [1.0], [1])
    folder.finish({"total_steps": 0})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunStore(tmp_path).open().folder("abc")


@pytest.fixture
def ended(folder: RunFolder) -> RunFolder:
    return finished(folder)


def test_a_finished_run_is_never_overwritten(ended: RunFolder) -> None:
    with pytest.raises(StoreError, match="never overwritten"):
        ended.begin(spec())
    with pytest.raises(StoreError, match="never overwritten"):
        ended.finish({"total_steps": 0})


def test_a_sign_of_life_that_is_none_is_passed_over(tmp_path: Path) -> None:
    for text in ("[1, 2]", "7", "{", ""):
        (tmp_path / "heartbeat.json").write_text(text, encoding="utf-8")
        assert RunFolder(tmp_path).heartbeat() == {}


def test_a_link_in_an_unfinished_run_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    folder, elsewhere = RunStore(tmp_path).open().folder("abc"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.path.mkdir()
    (folder.path / "tensorboard").symlink_to(elsewhere)
    folder.begin(spec())
    assert [each.name for each in folder.path.iterdir()] == ["spec.json"]
    assert elsewhere.is_dir()


def test_a_record_says_how_long_it_waited_for_the_disk(tmp_path: Path) -> None:
    record = finished(RunStore(tmp_path).folder("abc")).record()
    assert record["sync_seconds"] > 0
    assert list(record["files"]) == ["spec.json", "curve.jsonl"]


def test_values_are_sealed_as_they_are_read_back(folder: RunFolder) -> None:
    """Keys that are numbers are sorted as numbers before they are written, and as texts after."""
    folder.begin(spec())
    folder.append_evaluation(0, 0, [1.0], [1])
    folder.finish({"total_steps": 0, "by_layer": {2: "ä", 10: (1, 2.5e-300)}})
    assert folder.record()["by_layer"] == {"2": "ä", "10": [1, 2.5e-300]}


def test_a_damaged_run_is_moved_aside_and_never_deleted(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for n in (1, 2):
        folder = finished(store.folder("abc"))
        (folder.path / "curve.jsonl").write_text(f"{n}", encoding="utf-8")
        assert folder.read().state == "damaged"
        assert store.set_aside("abc") == tmp_path / "damaged" / f"abc-{n}"
        assert (tmp_path / "damaged" / f"abc-{n}" / "curve.jsonl").read_text(encoding="utf-8") == f"{n}"
        assert folder.read().state == "unfinished"


def test_a_record_of_a_newer_version_is_no_damage(ended: RunFolder) -> None:
    record = ended.record()
    write_json(ended.path / "record.json", sealed({**record, "schema": 3}))
    with pytest.raises(StoreError, match=r"has schema 3; this version reads up to 2\. Install a newer"):
        ended.read()
    write_json(ended.path / "record.json", {**record, "schema": 3})
    assert ended.read().state == "damaged", "its digest does not match: nobody wrote that"


def test_a_record_speaks_of_files_of_its_run_only(ended: RunFolder) -> None:
    record = ended.record()
    given: list[object] = [{}, {**record["files"], "../../secret": "0"}, [], None]
    for files in given:
        write_json(ended.path / "record.json", sealed({**record, "files": files}))
        assert ended.read().problem == "damaged: record.json does not say which files it speaks of"


@pytest.mark.parametrize(
    "changed",
    [
        {"total_steps": "many"},
        {"total_steps": 10**400},
        {"wall_seconds": [1.0]},
        {"source_steps": "x"},
        {"source_run": ["a"]},
        {"thaws": [1]},
        {"thaws": [{}]},
        {"thaws": 5},
        {"knobs": "x"},
        {"seen_by_source": 5},
        {"seen_by_source": {"seen": "x", "items": 3}},
        {"probe": {"accuracy": "x"}},
        {"reference": {"accuracy": None}},
        {"guide_steps": "x"},
        {"cpu_seconds": -1},
        {"zero_shot": 7},
        {"retention": [1.0]},
        {"plan": {}},
        {"spec": []},
    ],
)
def test_a_record_that_no_run_writes_is_damaged_though_its_digest_fits(
    ended: RunFolder, changed: dict[str, object]
) -> None:
    record = {**ended.record(), **changed}
    write_json(ended.path / "record.json", sealed(record))
    assert f"damaged: record.json has {next(iter(changed))} " in str(ended.read().problem)
    old = {key: value for key, value in record.items() if key not in ("files", "sync_seconds", "digest")}
    write_json(ended.path / "record.json", {**old, "schema": 1})
    assert ended.read().state == "damaged"


def test_a_record_may_lack_what_older_ones_did_not_say(ended: RunFolder) -> None:
    kept = {key: value for key, value in ended.record().items() if key != "wall_seconds"}
    write_json(ended.path / "record.json", sealed(kept))
    assert ended.finished


def test_what_an_interrupted_attempt_left_behind_is_cleared(folder: RunFolder) -> None:
    folder.begin(spec())
    folder.append_evaluation(0, 0, [1.0], [1])
    folder.fail("ValueError", "boom", attempts=1)
    folder.tensorboard.mkdir()
    folder.begin(spec())
    assert folder.curve() == []
    assert folder.failure() is None
    assert not folder.tensorboard.exists()


@pytest.mark.parametrize("content", ["{", "", "[1]", '"a text"', "null"])
def test_a_damaged_failure_is_a_failure_all_the_same(folder: RunFolder, content: str) -> None:
    folder.begin(spec())
    (folder.path / "failure.json").write_text(content, encoding="utf-8")
    failure = folder.failure()
    assert failure is not None
    assert ("cannot be read" in failure["message"]) is (content in ("{", ""))
    assert folder.read().state == "failed"


@pytest.mark.parametrize(
    ("flags", "why"), [(os.ST_RDONLY, "Read-only file system"), (0, "Permission denied")]
)
def test_a_folder_that_cannot_be_written_to_is_named_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, why: str
) -> None:
    class Flags:
        f_flag = flags

    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda path: Flags)
    with pytest.raises(StoreError, match=why):
        RunStore(tmp_path).refuse_unwritable()


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


@pytest.mark.parametrize("line", ['{"step": ', "[" * 100_000, "\udcff"])
def test_a_curve_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "curve.jsonl").write_text(line, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(StoreError, match=r"curve\.jsonl cannot be read"):
        RunFolder(tmp_path).curve()


def test_a_curve_beyond_every_bound_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "curve.jsonl").open("wb") as stream:
        stream.truncate(20 * 2**30)
    with pytest.raises(StoreError, match="it is larger than 256 MiB"):
        RunFolder(tmp_path).curve()


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
    finished(first)
    assert find_run(tmp_path) == find_run(first.path) == first
    finished(store.folder("b"), seed=1)
    with pytest.raises(StoreError, match="holds 2 finished runs"):
        find_run(tmp_path)


def test_a_run_that_is_named_may_lie_under_any_name_but_must_be_sound(tmp_path: Path) -> None:
    run = finished(RunStore(tmp_path).folder("a"))
    best = run.path.rename(tmp_path / "best")
    assert find_run(best).path == best
    (best / "spec.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match=r"best is damaged: spec\.json was changed.* Restore it from a copy"):
        find_run(best)


def test_an_id_is_the_same_for_ever() -> None:
    assert run_id(spec()) == "e3d7c8f3011a4ded"


def test_what_a_run_goes_on_from_and_its_log_are_not_cleared(folder: RunFolder) -> None:
    assert folder.log == folder.path / "log.txt"
    for name in ("log.txt", "checkpoints", "bundle"):
        (folder.path / name).mkdir(parents=True)
    (folder.path / "curve.jsonl").write_text("{}", encoding="utf-8")
    folder.begin(spec(), keep=["checkpoints"])
    assert sorted(os.listdir(folder.path)) == ["checkpoints", "log.txt", "spec.json"]


def test_signs_of_life_and_configs_do_not_wait_for_the_disk(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_handle: int) -> None:
        raise AssertionError("it waited")

    monkeypatch.setattr("os.fsync", fails)
    assert folder.heartbeat() == {}
    folder.begin(spec())
    folder.beat(3, 8, None)
    beat = folder.heartbeat()
    assert (beat["step"], beat["total_steps"], beat["score"]) == (3, 8, None)
    assert (folder.path / "heartbeat.json").read_text(encoding="utf-8").count("\n") == 1


def test_a_failure_is_noted_and_forgotten(folder: RunFolder) -> None:
    folder.begin(spec())
    folder.forget_failure()
    folder.fail("ValueError", "boom", attempts=1)
    assert folder.failure() == {"error": "ValueError", "message": "boom", "attempts": 1}
    with pytest.raises(StoreError, match="abc is failed: boom"):
        folder.record()
    folder.forget_failure()
    assert folder.failure() is None
    with pytest.raises(StoreError, match="abc is unfinished"):
        folder.record()


def test_a_return_that_is_no_number_is_never_written(tmp_path: Path, folder: RunFolder) -> None:
    folder.begin(spec())
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.append_evaluation(0, 0, [float("nan")], [1])
    with pytest.raises(StoreError, match=r"missing: curve\.jsonl cannot be written: No such file"):
        RunStore(tmp_path).folder("missing").append_evaluation(0, 0, [1.0], [1])


def test_empty_lines_of_a_curve_are_no_evaluations(tmp_path: Path) -> None:
    (tmp_path / "curve.jsonl").write_text('\n{"step": 0}\n\n', encoding="utf-8")
    assert RunFolder(tmp_path).curve() == [{"step": 0}]


def test_waiting_for_the_disk_is_counted_in_seconds_of_this_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter((1000.0, 1002.5))
    monkeypatch.setattr("rl_transfer.results.store.time.monotonic", lambda: next(ticks))
    assert finished(RunStore(tmp_path).open().folder("abc")).record()["sync_seconds"] == 2.5


def test_a_run_that_is_not_there_cannot_be_moved_aside(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"abc is damaged and cannot be moved to .*abc-1: No such file"):
        RunStore(tmp_path).open().set_aside("abc")


def test_a_damaged_run_is_moved_aside_to_another_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path).open()
    finished(store.folder("abc"))

    def another_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.rename", another_disk)
    assert (store.set_aside("abc") / "record.json").is_file()
    assert not store.folder("abc").path.exists()


def test_a_moved_run_stays_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both folders are waited for: the one that the name left, and the one that it came to."""
    store = RunStore(tmp_path).open()
    finished(store.folder("abc"))
    synced: list[Path] = []
    monkeypatch.setattr("rl_transfer.results.store.sync_folder", synced.append)
    store.set_aside("abc")
    assert sorted(synced) == [tmp_path / "damaged", tmp_path / "runs"]


def test_a_store_that_cannot_be_written_to_is_refused_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunStore(tmp_path / "new" / "out").refuse_unwritable()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"Not a directory: .*file\); choose another with --output"):
        RunStore(tmp_path / "file" / "out").refuse_unwritable()
    asked: list[int] = []

    def denied(_path: Path, mode: int) -> bool:
        asked.append(mode)
        return False

    monkeypatch.setattr("os.access", denied)
    with pytest.raises(StoreError, match=r"Permission denied: .*; choose another with --output"):
        RunStore(tmp_path / "new" / "out").refuse_unwritable()
    assert asked == [os.W_OK | os.X_OK]
    assert os.listdir(tmp_path) == ["file"]


def test_a_lock_makes_its_folder_or_says_why_it_cannot(tmp_path: Path) -> None:
    with RunStore(tmp_path / "a" / "b").lock():
        assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(StoreError, match=r"cannot be written to \(.*\); choose another with --output"),
        RunStore(tmp_path / "file").lock(),
    ):
        pass


def test_runs_to_choose_from_are_named_in_order(tmp_path: Path) -> None:
    names = [f"{n:02}" for n in range(12)]
    for name in names:
        finished(RunStore(tmp_path).folder(name))
    with pytest.raises(StoreError) as caught:
        find_run(tmp_path)
    shown = ", ".join(str(tmp_path / "runs" / name) for name in names[:5])
    assert caught.value.message.endswith(f"name one of them: {shown} and 7 more")


def test_a_bundle_belongs_to_the_run_beside_it(tmp_path: Path, ended: RunFolder) -> None:
    assert run_of_bundle(ended.bundle) == "abc"
    assert run_of_bundle(ended.path / "copy") is None
    assert run_of_bundle(tmp_path / "alone" / "bundle") is None
