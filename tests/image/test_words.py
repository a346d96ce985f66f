"""What people read of a sweep on images speaks of images."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.analysis import analyse, read_sweep, summary, text_table
from rl_transfer.image.room import ROOM
from rl_transfer.report.figures import all_figures
from rl_transfer.report.write import write_report
from rl_transfer.results import PLAYED, read_labels
from rl_transfer.spec import load
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.progress import headline
from rl_transfer.sweep.scheduler import State
from rl_transfer.sweep.sweep import prepare, run_sweep
from rl_transfer.wording import clock
from support.image import save_arrays
from support.sweeps import InThisProcess

FOREIGN = re.compile(
    r"polic(y|ies)|episod|\breturns?\b|reward|environment|steps/s|mean score|\bJ_random", re.I
)
SUITE = """\
kind: image
name: tiny
seeds: 2
model: {{name: small-resnet, width: 4, blocks: [1], input: {{size: 8}}}}
training: {{epochs: 1, batch_size: 16, optimizer: {{name: SGD, learning_rate: 1e-9}}}}
sources: {{home: {{data: {{name: arrays, path: {home}}}, bar: 0.99}}}}
targets: {{away: {{data: {{name: arrays, path: {away}, shots: 5}}}}}}
strategies: [scratch, frozen-trunk-new-head, random-frozen]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """A sweep that learns nothing, so that it is judged on raw accuracies and its sources miss their bar."""
    folder = tmp_path_factory.mktemp("words")
    home, away = save_arrays(folder / "home.npz"), save_arrays(folder / "away.npz", invert=True)
    config = folder / "tiny.yaml"
    config.write_text(SUITE.format(home=home, away=away), encoding="utf-8")
    plan = prepare(load(str(config), SUITES, "suites").config, folder / "out")
    return folder / "out", run_sweep(plan, InThisProcess, lambda _, __: None)


def refuse_foreign(text: str) -> None:
    assert not [line for line in text.splitlines() if FOREIGN.search(line)]


def test_table_page_and_figures_use_no_words_of_reinforcement_learning(finished: tuple[Path, State]) -> None:
    folder, _ = finished
    matrix = analyse(read_sweep(folder))
    table = text_table(matrix)
    assert "judged on raw accuracies: from scratch" in table
    assert "not clearly above chance" in table
    assert "source classifiers of home are below the bar" in table
    refuse_foreign(table)
    for _, figure in all_figures(matrix):
        shown = [text.get_text() for axes in figure.axes for text in [*axes.texts, *axes.get_xticklabels()]]
        refuse_foreign("\n".join([*shown, str(figure.get_supxlabel())]))
    page = write_report(folder).page.read_text(encoding="utf-8")
    page = re.sub(r"<svg.*?</svg>|<style.*?</style>|<script.*?</script>", "", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", "\n", page))
    assert "of 0 is chance" in text
    assert "J is the accuracy over the test images" in text
    assert "J of the source classifier as it is" in text
    refuse_foreign(text)
    assert all("polic" not in json.dumps(cell["flags"]) for cell in summary(matrix))


def test_progress_counts_epochs(finished: tuple[Path, State]) -> None:
    _, state = finished
    line = headline(state, ROOM.labels)
    assert re.search(r"[0-9.e-]+ epochs/s", line)
    assert " 0 epochs/s" not in line
    refuse_foreign(line)


def test_a_finished_sweep_says_what_its_runs_took_of_processors(finished: tuple[Path, State]) -> None:
    _, state = finished
    records = [state.store.folder(each).record() for each in state.done]
    assert all(0 < record["cpu_seconds"] < 10 * record["wall_seconds"] for record in records)
    total = round(sum(record["cpu_seconds"] for record in records))
    assert headline(state, ROOM.labels).endswith(f" · CPU time {clock(total)}")


def test_every_kind_has_its_words_and_old_manifests_those_that_they_had() -> None:
    assert ROOM.labels.samples == "test images"
    told: dict[str, Any] = {"unit": "epochs", "measure": "accuracy", "labels": ROOM.labels.of_manifest()}
    assert read_labels(told) == ROOM.labels
    assert read_labels({}) == PLAYED
    del told["labels"]["digits"]  # a sweep of before
    assert read_labels(told) == ROOM.labels
    assert [read_labels({"labels": {"digits": given}}).digits for given in (5, 0, 10**9, "4")] == [5, 3, 3, 3]
    assert read_labels({"unit": "epochs", "labels": {"chance": 3, "other": "x"}}).unit == "epochs"
