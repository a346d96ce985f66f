"""Every damage to a file that a record covers is noticed; the documentation says what is made of it."""

import sys
from pathlib import Path

import pytest

from faults.__main__ import table
from faults.kills import trial
from faults.rows import DAMAGES, FILES, OTHER, RUN, WHOLE, make, of_manifest, of_run, outcomes, whole_outcome
from support.sweeps import TWO_ARMS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
UNCOVERED = ("log.txt", "heartbeat.json", "tensorboard/events.out.tfevents.1", "figures/confusion.png")


def test_without_a_damage_everything_is_sound(tmp_path: Path) -> None:
    sweep = make(tmp_path)
    assert [of_run(sweep / "runs" / name) for name in (RUN, OTHER)] == ["finished", "finished"]
    assert of_manifest(sweep) == "read"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_run_is_noticed(name: str, damage: str, tmp_path: Path) -> None:
    expected = "unfinished" if (name, damage) == ("record.json", "deleted") else "damaged"
    assert outcomes(tmp_path / "scratch", name, DAMAGES[damage]) == {expected}


@pytest.mark.parametrize("damage", WHOLE)
def test_a_run_that_is_not_its_own_is_noticed(damage: str, tmp_path: Path) -> None:
    assert whole_outcome(tmp_path, WHOLE[damage]) == "damaged"


@pytest.mark.parametrize("damage", [each for each in DAMAGES if each != "another run's"])
def test_a_damaged_manifest_is_refused(damage: str, tmp_path: Path) -> None:
    assert outcomes(tmp_path / "scratch", "sweep.json", DAMAGES[damage]) == {"refused"}


@pytest.mark.parametrize("name", UNCOVERED)
def test_files_that_no_result_rests_on_may_be_anything(name: str, tmp_path: Path) -> None:
    run = make(tmp_path) / "runs" / RUN
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_bytes(b"anything")
    assert of_run(run) == "finished"
    assert name.partition("/")[0] in DOCUMENT.read_text(encoding="utf-8")


def test_the_documentation_shows_the_table(tmp_path: Path) -> None:
    assert table(tmp_path / "scratch") in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_killed_processes_lose_nothing(tmp_path: Path) -> None:
    """``make faults KILLS=100`` strikes more, and a larger suite."""
    small = TWO_ARMS.replace("seeds: 2", "seeds: 1")
    struck, _, differ = trial(tmp_path, kills=2, seed=29, suite=small)
    assert struck.total() == 2
    assert differ == 0
