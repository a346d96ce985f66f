"""``report --live`` beside a sweep that somebody else runs: it follows, and says why it ends."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.cli.live import SILENT
from rl_transfer.report.document import is_live
from rl_transfer.results import RunFolder, RunStore
from support.cli import Call

LEFT = [f"cartpole-longer-pole-fine-tune-{seed}" for seed in range(2)]
Naps = Callable[..., list[float]]


@pytest.fixture
def sweep() -> SyntheticSweep:
    strategies = ({"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]})
    shapes = {"longer-pole": QUICKSTART["longer-pole"]}
    return SyntheticSweep(shapes=shapes, strategies=strategies, seeds=2, unfinished=LEFT)


@pytest.fixture
def folder(sweep: SyntheticSweep, tmp_path: Path) -> Path:
    return sweep.write(tmp_path / "sweep")


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    """What happens while nobody looks: a call for each rest, then nothing more."""

    def during(*happens: Callable[[], object]) -> list[float]:
        left, slept = [*happens], list[float]()

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            assert len(slept) < 100, "it never ends"
            if left:
                left.pop(0)()

        monkeypatch.setattr(time, "sleep", sleep)
        return slept

    return during


def nothing() -> None:
    pass


def interrupt() -> None:
    raise KeyboardInterrupt


def grow_old(folder: Path) -> None:
    """As if the last sign of life had been long ago."""
    then = time.time() - SILENT - 60
    for path in [*folder.rglob("*")]:
        os.utime(path, (then, then))


@pytest.mark.full
def test_it_follows_a_sweep_to_its_end(call: Call, sweep: SyntheticSweep, folder: Path, naps: Naps) -> None:
    page = folder / "report" / "index.html"
    seen: list[tuple[int, bool]] = []

    def look() -> None:
        seen.append((page.stat().st_mtime_ns, is_live(page)))

    def end(identifier: str) -> None:
        look()
        sweep.finish(folder, identifier)

    slept = naps(look, lambda: end(LEFT[0]), lambda: end(LEFT[1]))
    outcome = call("report", str(folder), "--live", "--every", "7")
    assert outcome.code == 0, outcome.err
    assert [each for _, each in seen] == [True, True, True]
    first, second, third = (each for each, _ in seen)
    assert first == second != third, "nothing is written when nothing changed"
    text = page.read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in text
    assert ">Running</h2>" not in text
    assert (folder / "summary.json").is_file()
    assert slept[0] >= 7
    for words in ("5 of 7 runs finished (71%)", "6 of 7 runs finished (85%)", "7 of 7", "has ended"):
        assert words in outcome.out
    assert outcome.out.count("5 of 7 runs") == 1


def test_the_report_that_the_sweep_writes_itself_is_left(
    call: Call, sweep: SyntheticSweep, folder: Path, naps: Naps
) -> None:
    page = folder / "report" / "index.html"

    def both() -> None:
        for each in LEFT:
            sweep.finish(folder, each)

    naps(both, lambda: page.write_text("the sweep's own", encoding="utf-8"))
    assert call("report", str(folder), "--live").code == 0
    assert page.read_text(encoding="utf-8") == "the sweep's own"
    before = page.stat()
    assert call("report", str(folder), "--live").code == 0, "a sweep that has ended, and has its report"
    assert page.stat() == before


def test_a_sweep_whose_process_goes_on_has_not_ended(
    call: Call, sweep: SyntheticSweep, folder: Path, naps: Naps
) -> None:
    """Between two looks of a seed plan all runs have ended; so it is while one thinks for long."""
    for each in LEFT:
        sweep.finish(folder, each)
    grow_old(folder)
    naps(nothing, interrupt)
    with RunStore(folder).lock():
        outcome = call("report", str(folder), "--live")
    assert outcome.code == 130
    assert is_live(folder / "report" / "index.html")


def test_ctrl_c_ends_it_and_leaves_the_sweep(call: Call, folder: Path, naps: Naps) -> None:
    naps(interrupt)
    outcome = call("report", str(folder), "--live")
    assert outcome.code == 130
    assert "the sweep is left as it is" in outcome.err
    assert "error" not in outcome.err


def test_a_sweep_that_has_stopped_is_told_of(call: Call, folder: Path, naps: Naps) -> None:
    RunFolder(folder / "runs" / LEFT[0]).beat(512, 6144, None)
    grow_old(folder)
    naps()
    outcome = call("report", str(folder), "--live")
    assert outcome.code == 7
    assert "5 of 7 runs finished (71%)" in outcome.err
    assert "nobody is at work there. Run the same sweep again" in outcome.err
    assert ">Stopped</h2>" in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_a_sweep_that_has_not_begun_is_waited_for(
    call: Call, sweep: SyntheticSweep, tmp_path: Path, naps: Naps
) -> None:
    sweep.unfinished = [row["id"] for row in sweep.rows()]
    folder = sweep.write(tmp_path / "new")
    naps(interrupt)
    assert call("report", str(folder), "--live").code == 130
    assert "No run has begun yet" in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_what_cannot_be_followed_is_refused(call: Call, tmp_path: Path, folder: Path, naps: Naps) -> None:
    naps()
    outcome = call("report", str(tmp_path / "nowhere"), "--live")
    assert outcome.code == 7
    assert "it has no sweep.json" in outcome.err
    assert not (tmp_path / "nowhere").exists()
    outcome = call("report", str(folder), "--live", "--json")
    assert outcome.code == 2
    assert "exclude each other" in outcome.err
    outcome = call("report", str(folder), "--every", "5")
    assert outcome.code == 2
    assert "--every belongs to --live" in outcome.err
