"""What a sweep reuses: sound runs; damaged ones are moved aside, and sources are looked at whole in time."""

import shutil
from pathlib import Path

import pytest
import torch

from rl_transfer.core import save_bundle
from rl_transfer.errors import BundleError, StoreError
from rl_transfer.frame import bundle_folder, run_identity, source_problem
from rl_transfer.results import RunFolder, RunStore
from rl_transfer.spec import Environment, Evaluation, RLRun
from rl_transfer.sweep.graph import Graph, Row
from rl_transfer.sweep.reuse import take_stock
from rl_transfer.sweep.stops import Stops
from support.records import as_old, write_finished

SPEC = RLRun(env=Environment(id="CartPole-v1"), policy="random", evaluation=Evaluation(every=1), seed=0)
ROWS = (
    Row("source", "source", "a", None, None, 0, ()),
    Row("first", "target", "a", "task", "fine-tune", 0, ("source",)),
    Row("second", "target", "a", "other", "fine-tune", 0, ("source",)),
)
GRAPH = Graph(ROWS, {row.id: SPEC for row in ROWS})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Every run of the graph finished."""
    store = RunStore(tmp_path / "out").open()
    for row in ROWS:
        run = store.folder(row.id)
        save_bundle(run.bundle, {"weight": torch.full((4,), float(len(row.id)))}, {"run": row.id})
        write_finished(run.path)
    return store


def stock(store: RunStore) -> tuple[set[str], list[str]]:
    said: list[str] = []
    return take_stock(GRAPH, store, said.append, Stops()), said


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def tensors(store: RunStore, name: str) -> Path:
    return store.folder(name).bundle / "tensors.safetensors"


def test_sound_runs_are_reused_without_a_word(store: RunStore) -> None:
    assert stock(store) == ({"source", "first", "second"}, [])


def test_a_run_with_another_runs_curve_is_moved_aside(store: RunStore) -> None:
    (store.folder("first").path / "curve.jsonl").write_text(
        '{"evaluation": 0, "step": 0, "returns": [500.0], "lengths": [500]}\n', encoding="utf-8"
    )
    reused, (line,) = stock(store)
    assert reused == {"source", "second"}
    assert line == (
        "a→task/fine-tune/seed-0 (first) is damaged: curve.jsonl was changed, or is of another run: its "
        f"digest is not the one in the record; moved to {store.root / 'damaged' / 'first-1'}, computed again"
    )
    assert not store.folder("first").path.exists()
    assert (store.root / "damaged" / "first-1" / "record.json").is_file()
    assert stock(store) == ({"source", "second"}, [])


def test_a_renumbered_run_is_moved_aside(store: RunStore) -> None:
    shutil.rmtree(store.folder("first").path)
    shutil.copytree(store.folder("second").path, store.folder("first").path)
    reused, (line,) = stock(store)
    assert reused == {"source", "second"}
    assert "(first) is damaged: it is run second, renamed or copied into this folder" in line


def test_a_sources_bundle_is_read_where_something_waits_for_it(store: RunStore) -> None:
    flip(tensors(store, "source"))
    assert stock(store) == ({"source", "first", "second"}, []), "nothing will read it"
    shutil.rmtree(store.folder("first").path)
    reused, (line,) = stock(store)
    assert reused == {"second"}, "what was trained from it when it was sound is kept"
    assert "source a/seed-0 (source) is damaged: bundle/tensors.safetensors was changed" in line


def test_runs_of_0_1_0_are_reused_and_counted(store: RunStore) -> None:
    for name in ("source", "second"):
        as_old(store.folder(name).path)
    reused, (line,) = stock(store)
    assert reused == {"source", "first", "second"}
    assert line.startswith("2 runs of rl-transfer 0.1.0 reused on trust")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_sources_bundle_of_0_1_0_has_a_digest_of_its_own(store: RunStore, swapped: bool) -> None:
    source = store.folder("source")
    as_old(source.path)
    assert source_problem(source) is None
    if swapped:
        shutil.rmtree(source.bundle)
        shutil.copytree(store.folder("first").bundle, source.bundle)
    else:
        flip(tensors(store, "source"))
    shutil.rmtree(store.folder("first").path)
    reused, lines = stock(store)
    assert reused == {"second"}
    assert ("is that of run first" in lines[0]) == swapped
    assert ("its digest does not match" in lines[0]) != swapped


def test_a_worker_refuses_the_bundle_of_another_run(store: RunStore) -> None:
    """Sound in itself, and not what the source's record speaks of."""
    source = store.folder("source")
    assert run_identity(source.bundle, "…") == run_identity(source.path, "…") == "source"
    shutil.rmtree(source.bundle)
    shutil.copytree(store.folder("first").bundle, source.bundle)
    for named in (source.bundle, source.path):
        with pytest.raises(BundleError, match=r"source is damaged: bundle/bundle\.json was changed"):
            bundle_folder(named)
        with pytest.raises(BundleError, match="damaged"):
            run_identity(named, "…")


def test_a_bundle_that_stands_alone_is_its_readers_matter(store: RunStore, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(store.folder("source").bundle, tmp_path / "alone"))
    assert bundle_folder(alone) == alone
    assert run_identity(alone, "abc") == "digest:abc"


def test_a_damaged_run_that_cannot_be_moved_is_one_clear_error(store: RunStore) -> None:
    (store.folder("first").path / "spec.json").unlink()
    (store.root / "damaged").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="damaged cannot be written to"):
        stock(store)
    assert RunFolder(store.folder("first").path).path.exists()


class StopAt(Stops):
    """Somebody who stops it when it asks for the n-th time."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_it_can_be_stopped_before_every_run_and_every_bundle(store: RunStore) -> None:
    shutil.rmtree(store.folder("first").path)
    stops = StopAt(4)
    assert take_stock(GRAPH, store, lambda _: None, stops) == {"source", "second"}
    assert stops.left == 1, "two runs, and the bundle that a third waits for"
    for n in (1, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            take_stock(GRAPH, store, lambda _: None, StopAt(n))


def test_damaged_bundles_of_sources_are_told_by_id(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "out").open()
    names = [f"source-{n}" for n in range(8)]
    rows = [Row(name, "source", name, None, None, 0, ()) for name in reversed(names)]
    rows += [Row(f"t{name}", "target", name, "task", "fine-tune", 0, (name,)) for name in names]
    for name in names:
        save_bundle(store.folder(name).bundle, {"weight": torch.zeros(4)}, {"run": name})
        write_finished(store.folder(name).path)
        flip(tensors(store, name))
    said: list[str] = []
    reused = take_stock(Graph(tuple(rows), {row.id: SPEC for row in rows}), store, said.append, Stops())
    assert reused == set()
    assert [line.partition("(")[2].partition(")")[0] for line in said] == names
