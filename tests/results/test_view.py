"""Links from targets, strategies and seeds to the event files of runs."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from rl_transfer.results import SEEDS, link_events
from rl_transfer.results.labels import Labels


@dataclass
class Row:
    """One row of a manifest."""

    id: str
    role: str = "target"
    source: str | None = "cartpole"
    target: str | None = "heavy"
    strategy: str | None = "fine-tune"
    seed: int = 0


def with_events(root: Path, *identifiers: str) -> None:
    for identifier in identifiers:
        (root / "runs" / identifier / "tensorboard").mkdir(parents=True)


def links(root: Path) -> dict[str, str]:
    """Place of every link → the run whose event files it leads to."""
    found = [path for path in (root / SEEDS).rglob("seed-*") if path.is_symlink()]
    return {path.relative_to(root / SEEDS).as_posix(): path.resolve().parent.name for path in found}


def test_runs_with_event_files_are_linked_by_their_place(tmp_path: Path) -> None:
    with_events(tmp_path, "a", "b", "c")
    source = Row("a", "source", target=None, strategy=None, seed=2)
    link_events(tmp_path, [source, Row("b"), Row("c", "random"), Row("d", seed=1)], several=False)
    assert links(tmp_path) == {"sources/cartpole/seed-2": "a", "heavy/fine-tune/seed-0": "b"}
    link_events(tmp_path, [Row("b")], several=True)
    assert links(tmp_path)["heavy/fine-tune--from-cartpole/seed-0"] == "b"


def test_a_link_follows_its_run_and_stays_where_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_events(tmp_path, "old", "new")
    link_events(tmp_path, [Row("old")], several=False)
    link_events(tmp_path, [Row("new")], several=False)
    assert links(tmp_path) == {"heavy/fine-tune/seed-0": "new"}
    monkeypatch.delattr(Path, "symlink_to")
    link_events(tmp_path, [Row("new")], several=False)
    assert links(tmp_path) == {"heavy/fine-tune/seed-0": "new"}


def test_links_lead_on_when_the_folder_moves_and_copies_in_their_place_are_left(tmp_path: Path) -> None:
    with_events(tmp_path / "sweep", "a")
    link_events(tmp_path / "sweep", [Row("a")], several=False)
    moved = (tmp_path / "sweep").rename(tmp_path / "moved")
    assert links(moved) == {"heavy/fine-tune/seed-0": "a"}
    link = moved / SEEDS / "heavy" / "fine-tune" / "seed-0"
    os.unlink(link)
    link.mkdir()
    link_events(moved, [Row("a")], several=False)
    assert link.is_dir()
    assert not link.is_symlink()


def test_words_are_made_from_words() -> None:
    mine, other = Labels(), Labels(unit="epochs", measure="accuracy", chance="chance")
    assert (mine.the_chance, mine.rate, mine.curve_tag) == (
        "the random policy",
        "steps/s",
        "evaluation/mean_return",
    )
    assert (other.the_chance, other.rate, other.curve_tag) == ("chance", "epochs/s", "evaluation/accuracy")
