"""``board`` refuses what it cannot show, with a way out; tests/report/test_browser.py sees what it shows."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.report import write_report
from support.boards import SCRIPT
from support.cli import Call


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = SyntheticSweep(shapes={"longer-pole": QUICKSTART["longer-pole"]}, seeds=2)
    return write_report(sweep.write(tmp_path_factory.mktemp("board") / "sweep")).summary.parent


def test_a_folder_that_is_no_sweep(call: Call, tmp_path: Path) -> None:
    outcome = call("board", str(tmp_path))
    assert outcome.code == 7
    assert "it has no sweep.json" in outcome.err


@pytest.mark.full
def test_a_sweep_without_a_report_of_this_kind(call: Call, reported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(reported, folder, symlinks=True)
    for path in (folder / "tensorboard" / "overview").iterdir():
        path.rename(path.with_suffix(""))  # as the first reports called theirs
    outcome = call("board", str(folder))
    assert outcome.code == 7
    assert f"rl-transfer report {folder}" in outcome.err
    assert call("report", str(folder)).code == 0


def test_single_runs_that_are_not_there(call: Call, reported: Path) -> None:
    outcome = call("board", str(reported), "--seeds", "longer-pol")
    assert outcome.code == 3
    assert "Did you mean 'longer-pole'?" in outcome.err
    outcome = call("board", str(reported), "--seeds", "longer-pole/fine-tun")
    assert "Did you mean 'longer-pole/fine-tune'?" in outcome.err
    assert call("board", str(reported), "--seeds", "../runs").code == 3


def test_a_sweep_that_has_not_begun(call: Call, tmp_path: Path) -> None:
    folder = SyntheticSweep(shapes={"longer-pole": QUICKSTART["longer-pole"]}, seeds=2).write(
        tmp_path / "sweep"
    )
    outcome = call("board", str(folder), "--seeds", "longer-pole")
    assert outcome.code == 3
    assert "No run has begun yet" in outcome.err


def test_single_runs_without_event_files(call: Call, reported: Path) -> None:
    outcome = call("board", str(reported), "--seeds", "longer-pole/fine-tune")
    assert outcome.code == 3
    assert "none of these runs has event files (--no-events)" in outcome.err


@pytest.mark.full
def test_a_port_that_is_taken(reported: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        command = [str(SCRIPT), "board", str(reported), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 7
    assert "name another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_end_of_a_sweep_says_how_to_open_it(call: Call, reported: Path) -> None:
    assert f"rl-transfer board {reported}" in call("report", str(reported)).out
