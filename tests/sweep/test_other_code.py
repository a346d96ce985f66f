"""Finished runs of other code are refused before anything is written, unless they are asked for."""

from pathlib import Path
from typing import Any
from weakref import ReferenceType, ref

import gymnasium  # noqa: F401 - what a run's environment is registered with
import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import RunFolder, RunStore, library_versions
from rl_transfer.spec import Environment, Evaluation, RLRun
from rl_transfer.sweep import reuse
from rl_transfer.sweep.reuse import refuse_other_code
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.cli import Call, calling
from support.records import as_old, change_record, write_finished
from support.sweeps import InThisProcess

from .test_folder import planned, traces

RUN = RLRun(env=Environment(id="CartPole-v1"), policy="random", evaluation=Evaluation(every=1))
HERE = library_versions(["torch", "numpy"])


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


def stored(folder: Path, **record: Any) -> RunStore:
    """Two runs: the first with these fields in its record."""
    store = RunStore(folder / "out").open()
    write_finished(store.folder("first").path, **record)
    write_finished(store.folder("second").path, versions=HERE)
    return store


def check(store: RunStore, *despite: str) -> None:
    refuse_other_code({"first": RUN, "second": RUN, "missing": RUN}, store, despite)


def test_no_more_than_one_record_is_held_however_many_runs_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Record(dict[str, Any]):
        """One that can be seen to be gone."""

    read: list[ReferenceType[Record]] = []

    def read_record(folder: Path) -> Record:
        assert sum(each() is not None for each in read) <= 1, "the last one, which is about to be forgotten"
        record = Record(versions={**HERE, "torch": "1.0"}, plan=[0] * 1000)
        read.append(ref(record))
        return record

    monkeypatch.setattr(reuse, "read_record", read_record)
    specs = {f"{number:016x}": RUN for number in range(20)}
    store = RunStore(tmp_path).open()
    for each in specs:
        store.folder(each).path.mkdir()
    with pytest.raises(StoreError, match=r"20 of 20 finished runs .*torch 1.0 there, .*20 runs"):
        refuse_other_code(specs, store)


def test_the_same_code_passes(tmp_path: Path) -> None:
    check(stored(tmp_path, versions=HERE, code={"gymnasium": library_versions(["gymnasium"])["gymnasium"]}))


@pytest.mark.parametrize(
    ("record", "words", "despite"),
    [
        ({"versions": {**HERE, "torch": "1.0"}}, f"torch 1.0 there, {HERE['torch']} here", "versions"),
        ({"versions": {**HERE, "python": "3.1.2"}}, "python 3.1 there", "versions"),
        ({"versions": {"gone": "1.0"}}, "gone 1.0 there, missing here (1 run)", "versions"),
        ({"code": {"cars": "sha256:aa"}}, "cars sha256:aa there, missing here (1 run)", "code"),
    ],
)
def test_a_difference_is_refused_and_named(
    tmp_path: Path, record: dict[str, Any], words: str, despite: str
) -> None:
    store = stored(tmp_path, **record)
    with pytest.raises(StoreError) as caught:
        check(store)
    assert caught.value.message.startswith(f"1 of 2 finished runs in {store.root} are of other code: ")
    assert words in caught.value.message
    assert f"--reuse-despite {despite}:" in caught.value.message
    assert "--output" in caught.value.message
    check(store, despite)
    with pytest.raises(StoreError):
        check(store, {"code": "versions", "versions": "code"}[despite])


def test_differences_are_told_by_the_runs_ids_and_of_this_sweep_alone(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "out").open()
    names = [f"run-{n}" for n in range(8)]
    for n, name in enumerate(["another-sweeps", *names]):
        write_finished(store.folder(name).path, versions={"torch": f"0.{n}"})
    with pytest.raises(StoreError) as caught:
        refuse_other_code(dict.fromkeys([*names, "missing"], RUN), store)
    each = "; ".join(f"torch 0.{n} there, {HERE['torch']} here (1 run)" for n in range(1, 6))
    assert (
        f"8 of 8 finished runs in {store.root} are of other code: {each} and 3 more" in caught.value.message
    )


def test_a_patch_of_python_and_another_cpu_are_no_difference(tmp_path: Path) -> None:
    minor = ".".join(HERE["python"].split(".")[:2])
    check(stored(tmp_path, versions={**HERE, "python": f"{minor}.99"}, provenance={"cpu": "Another"}))


def test_records_of_0_1_0_are_compared_as_far_as_they_go(tmp_path: Path) -> None:
    store = stored(tmp_path, versions={"torch": "1.0"})
    as_old(store.folder("first").path)
    with pytest.raises(StoreError, match=r"torch 1\.0 there"):
        check(store)


def test_a_damaged_record_is_none_to_compare(tmp_path: Path) -> None:
    store = stored(tmp_path, versions={"torch": "1.0"})
    record = store.folder("first").path / "record.json"
    record.write_bytes(record.read_bytes().replace(b'"1.0"', b'"1.1"'))
    check(store)


def test_a_sweep_is_refused_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    run_sweep(prepare(planned(tmp_path), output), InThisProcess, lambda _, __: None)
    records = [RunFolder(path.parent).record() for path in output.glob("runs/*/record.json")]
    assert all(record["code"] == {} for record in records), "CartPole rests on nothing but what all rest on"
    assert all(
        {"command", "git", "attempts", "cpu", "cores", "platform", "threads"} == {*record["provenance"]}
        for record in records
    )
    more = planned(tmp_path, "seeds=3")
    prepare(more, output)
    before = traces(output)
    newer = {"torch": "99.0"}
    monkeypatch.setattr(reuse, "library_versions", lambda names: library_versions(names) | newer)
    with pytest.raises(StoreError, match=rf"{len(records)} of {len(records)} finished runs .* 99\.0 here"):
        prepare(more, output)
    assert traces(output) == before
    prepare(more, output, despite=["versions"])


def test_a_single_run_is_reused_where_asked(call: Call, tmp_path: Path) -> None:
    train = tmp_path / "train.yaml"
    train.write_text(
        "env: {id: CartPole-v1}\nalgorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16}\n"
        "training: {total_steps: 64}\nevaluation: {every: 32, episodes: 1}\n", encoding="utf-8",
    )  # fmt: skip
    words = ("train", str(train), "-o", str(tmp_path / "out"))
    assert call(*words).code == 0
    assert "reused" in call(*words).out
    (record,) = tmp_path.glob("out/runs/*/record.json")
    change_record(record.parent, versions={"numpy": "1.0"})
    refused = call(*words)
    assert refused.code == 7
    assert "numpy 1.0 there" in refused.err
    assert "reused" in call(*words, "--reuse-despite", "code,versions").out
    wrong = call(*words, "--reuse-despite", "cod")
    assert wrong.code == 2
    assert "expected code or versions" in wrong.err
