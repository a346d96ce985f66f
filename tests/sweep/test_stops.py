"""Ctrl-C at any moment of a sweep: never lost, never a traceback, whatever thread needs whichever lock."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from rl_transfer.sweep.stops import Stops
from support.sweeps import PATIENCE, command, until, write_suite

MOMENTS = int(os.environ.get("INTERRUPTIONS", "2"))
SEED = int(os.environ.get("INTERRUPTIONS_SEED", "0"))


def test_a_signal_is_noted_and_answered_where_somebody_asks() -> None:
    before = signal.getsignal(signal.SIGINT)
    steps = []

    def work() -> None:
        with Stops() as stops:
            stops.check()
            signal.raise_signal(signal.SIGINT)
            steps.append("after the signal")
            stops.check()
            steps.append("after the answer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["after the signal"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_nobody_asked_about_is_not_lost(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), Stops():
        signal.raise_signal(number)


def test_two_signals_at_once_are_one_wish() -> None:
    def press_twice() -> None:
        with Stops():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_no_signal_leaves_a_lock_taken() -> None:
    """A raising handler left the lock of a future taken in four of ten such loops."""
    future: Future[None] = Future()

    def look() -> None:
        with Stops() as stops:
            threading.Timer(0.002, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
            while True:
                future.running()
                future.done()
                stops.check()

    for _ in range(50):
        with pytest.raises(KeyboardInterrupt):
            look()
    freed = threading.Thread(target=future.done, daemon=True)
    freed.start()
    freed.join(PATIENCE)
    assert not freed.is_alive()


LATER = """
import os, signal, time
from rl_transfer.sweep import stops
stops.SAME_PRESS = 0.01
with stops.Stops():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
    print("goes on", flush=True)
"""


def test_the_second_one_kills_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "killed; what is finished is kept\n")


@pytest.mark.full
@pytest.mark.parametrize("number", range(MOMENTS))
def test_ctrl_c_at_any_moment_ends_a_sweep_with_one_message(number: int, tmp_path: Path) -> None:
    """``INTERRUPTIONS=100`` tries more moments, ``INTERRUPTIONS_SEED=1`` others.

    A moment is so many files of the sweep, and a while later; its runs go on for minutes.
    """
    draw, output = random.Random(MOMENTS * SEED + number), tmp_path / "out"
    files, later = draw.randint(1, 8), draw.uniform(0.0, 5.0)
    process = subprocess.Popen(
        command(write_suite(tmp_path), output, "training.total_steps=6400000", "-j", "2"),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: sum(each.is_file() for each in output.rglob("*")) >= files, process)
        time.sleep(later)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 130, errors
    assert len(errors.splitlines()) == 1, errors
    assert "interrupted" in errors
