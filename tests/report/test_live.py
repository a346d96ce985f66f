"""The page while its sweep runs: written when something changed, analysed when runs ended."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.analysis import Matrix, Sweep, analyse
from rl_transfer.report import live
from rl_transfer.report.document import document, is_live
from rl_transfer.report.live import LivePage
from rl_transfer.report.markup import Html
from rl_transfer.results import RunFolder
from rl_transfer.results.standing import Onlooker
from support.records import change_manifest

LEFT = [f"cartpole-longer-pole-fine-tune-{seed}" for seed in range(4)]


@pytest.fixture
def sweep() -> SyntheticSweep:
    return SyntheticSweep(
        shapes={"longer-pole": QUICKSTART["longer-pole"]},
        seeds=4,
        analysis={"bootstrap": 100},
        unfinished=LEFT,
    )


@pytest.fixture
def folder(sweep: SyntheticSweep, tmp_path: Path) -> Path:
    """Three quarters of the sweep are done, and a run is under way."""
    folder = sweep.write(tmp_path / "sweep")
    beat(folder, 1024)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures cost more than all else; tests/cli/test_cli_live.py draws them."""
    monkeypatch.setattr(live, "svg", lambda figure, name: "<svg></svg>")


def beat(folder: Path, step: int) -> None:
    run = RunFolder(folder / "runs" / LEFT[0])
    (run.path / "spec.json").write_text("{}", encoding="utf-8")
    run.beat(step, 6144, 77.0)


def text_of(page: LivePage) -> str:
    return page.path.read_text(encoding="utf-8")


def test_the_page_says_how_far_the_sweep_is_and_what_that_allows(folder: Path) -> None:
    page = LivePage(folder, 60)
    assert page.write(Onlooker(folder).look(), 83.0)
    text = text_of(page)
    for part in (
        "<title>80% · synthetic: transfer report</title>",
        "17 of 21 runs finished (80%), 1 running, 3 waiting",
        "about 1:23",
        "longer-pole/fine-tune/0",
        "1,024 of 6,144 environment steps",
        "Decided so far: of 2 transfer cells (a strategy on a target), ",
        "Verdicts before the end are exploratory",
        "at most every 60 seconds",
        ">Learning curves</h2>",
    ):
        assert part in text, part
    assert text.index(">Running</h2>") < text.index(">Findings</h2>")
    assert [path.name for path in page.path.parent.iterdir()] == ["index.html"], "all else comes at the end"


def test_runs_that_are_still_to_come_are_no_warning_and_failed_ones_are(
    sweep: SyntheticSweep, folder: Path
) -> None:
    page = LivePage(folder, 60)
    page.write(Onlooker(folder).look(), None)
    for part in ("fine-tune on longer-pole: 4 of 4 fine-tune runs missing", "cells with missing runs"):
        assert part not in text_of(page)
    assert "without a control nobody can tell" in text_of(page), "other warnings stay"
    (folder / "runs" / LEFT[1] / "failure.json").write_text('{"message": "ValueError: boom"}')
    page.write(Onlooker(folder).look(), None)
    assert "fine-tune on longer-pole: 4 of 4 fine-tune runs missing" in text_of(page)
    assert "17 of 21 runs are finished, 1 failed: cells with missing runs" in text_of(page)


def test_the_policy_of_the_page_holds(folder: Path) -> None:
    page = LivePage(folder, 45)
    page.write(Onlooker(folder).look(), None)
    text = text_of(page)
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    )
    assert '<noscript><meta http-equiv="refresh" content="45"></noscript>' in text
    assert "unknown, until a run of each kind has begun" in text


def test_nothing_is_written_without_change_nor_analysed_without_an_end(
    sweep: SyntheticSweep, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: list[str] = []

    def counting(each: Sweep) -> Matrix:
        analysed.append(each.name)
        return analyse(each)

    monkeypatch.setattr(live, "analyse", counting)
    onlooker, page = Onlooker(folder), LivePage(folder, 60)
    assert page.write(onlooker.look(), None)
    before = page.path.stat()
    assert not page.write(onlooker.look(), None)
    assert page.path.stat() == before
    beat(folder, 2048)
    assert page.write(onlooker.look(), None)
    assert "2,048 of 6,144" in text_of(page)
    assert len(analysed) == 1
    sweep.finish(folder, LEFT[0])
    assert page.write(onlooker.look(), None)
    assert "18 of 21 runs finished" in text_of(page)
    assert len(analysed) == 2
    again = LivePage(folder, 60)
    assert not again.write(onlooker.look(), None), "what another one wrote counts as well"


def test_a_full_report_ends_it(sweep: SyntheticSweep, folder: Path) -> None:
    onlooker, page = Onlooker(folder), LivePage(folder, 60)
    page.write(onlooker.look(), None)
    for each in LEFT:
        sweep.finish(folder, each)
    standing = onlooker.look()
    assert standing.all_ended
    assert is_live(page.path)
    assert not page.complete(standing.seen)
    page.path.write_text(document("full", Html(""), Html("")), encoding="utf-8")
    assert page.complete(standing.seen)
    assert not page.complete(page.path.stat().st_mtime + 1), "something ended since"


def test_a_sweep_that_stopped_is_followed_no_more(folder: Path) -> None:
    page = LivePage(folder, 60)
    page.write(Onlooker(folder).look(), None, stopped=True)
    text = text_of(page)
    assert ">Stopped</h2>" in text
    assert "The same sweep, run again, goes on from here" in text
    assert not is_live(page.path)


def test_seed_plans_and_tuning_have_words_of_their_own(sweep: SyntheticSweep, folder: Path) -> None:
    page = LivePage(folder, 60)
    change_manifest(folder, looks=[[0, 1, 2, 3], [4, 5]])
    beat(folder, 1024)
    page.write(Onlooker(folder).look(), 60.0)
    text = text_of(page)
    assert "a seed plan (4, 6 seeds per arm)" in text
    assert "of this look: about 1:00" in text
    assert "are exploratory" not in text
    change_manifest(folder, runs=[{**row, "role": "tuning", "point": 0} for row in sweep.rows()])
    beat(folder, 2048)
    page.write(Onlooker(folder).look(), 60.0)
    text = text_of(page)
    assert "Arms are still being tuned" in text
    assert "of the tuning: about 1:00" in text
    assert ">Findings</h2>" not in text
