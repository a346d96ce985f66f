"""Whole sweeps: workers, order, crashes and kills never change a number or lose one."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_transfer.results import PLAYED
from support.cli import Outcome, calling
from support.events import scalar_tags
from support.sweeps import PATIENCE, TWO_ARMS, command, results, swept, until, write_suite

Sweep = Callable[..., Outcome]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    return swept(write_suite(folder, TWO_ARMS), folder / "out", "-j", "2")


@pytest.fixture
def sweep(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Sweep:
    """A suite swept into ``out`` by the command, in this process: its workers are processes all the same."""
    call = calling(capfd)

    def go(*arguments: str, text: str = TWO_ARMS) -> Outcome:
        return call("sweep", str(write_suite(tmp_path, text)), "-o", str(tmp_path / "out"), *arguments)

    return go


@pytest.mark.full
@pytest.mark.parametrize(
    "how", [["-j", "2", "--runs-per-worker", "1"], ["-j", "1", "--runs-per-worker", "3"]]
)
def test_workers_and_the_runs_that_they_share_change_no_number(
    reference: Path, sweep: Sweep, tmp_path: Path, how: list[str]
) -> None:
    done = sweep(*how)
    assert done.code == 0, done.err
    assert results(tmp_path / "out") == results(reference)


@pytest.mark.full
def test_a_killed_sweep_continues_and_ends_like_an_uninterrupted_one(
    reference: Path, sweep: Sweep, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(write_suite(tmp_path, TWO_ARMS), output, "-j", "2"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until(lambda: len(list(output.glob("runs/*/record.json"))) >= 3, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in output.glob("runs/*/record.json")}
    assert 3 <= len(kept) < len(results(reference)), "the kill must fall into the middle of the sweep"
    until(lambda: _nobody_is_left(process.pid))

    done = sweep("-j", "2", "--no-events")
    assert done.code == 0, done.err
    assert "reused" in done.out
    assert results(output) == results(reference)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a finished run was written again"
    later = {path.parent for path in output.glob("runs/*/record.json")} - {path.parent for path in kept}
    assert not [folder for folder in later if (folder / "tensorboard").exists()]


def _nobody_is_left(group: int) -> bool:
    """Whether the orphaned workers of a sweep have ended themselves."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.full
def test_ctrl_c_says_what_is_kept_and_exits_with_130(tmp_path: Path) -> None:
    config = write_suite(tmp_path)
    output = tmp_path / "out"
    # One run is so long that it cannot end before the signal comes; beside it the short source is finished.
    process = subprocess.Popen(
        command(config, output, "training.total_steps=640000", "seeds=1", "-j", "2"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: list(output.glob("runs/*/record.json")), process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "runs are finished and kept" in errors
    assert "Traceback" not in errors


def test_a_failing_run_is_reported_and_leaves_the_others_alone(sweep: Sweep, tmp_path: Path) -> None:
    # It breaks while training, not while it is checked.
    (tmp_path / "breaking.py").write_text(
        "import multiprocessing, gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Breaking(CartPoleEnv):\n"
        "    def step(self, action):\n"
        "        if multiprocessing.parent_process() is not None:\n"
        "            raise RuntimeError('the pole broke')\n"
        "        return super().step(action)\n"
        "gymnasium.register('Breaking-v0', Breaking, max_episode_steps=500)\n",
        encoding="utf-8",
    )
    text = TWO_ARMS.replace(
        "  base: {env", "  broken: {env: {id: Breaking-v0, env_module: breaking}}\n  base: {env"
    )
    done = sweep("-j", "2", text=text)
    assert done.code == 8, done.err
    assert "failed: source broken/seed-0" in done.err
    assert "log: " in done.err
    assert "skipped: broken→reversed/fine-tune/seed-0: its source source broken/seed-0 failed" in done.err
    rows = json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))["runs"]
    for row in rows:
        finished = (tmp_path / "out" / "runs" / row["id"] / "record.json").exists()
        assert finished == (row["source"] != "broken"), row
    cells = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    broken = [cell for cell in cells if cell["source"] == "broken"]
    assert broken
    assert {cell["verdict"]["auc_gain"] if isinstance(cell["verdict"], dict) else cell["verdict"]
            for cell in broken} == {"inconclusive"}  # fmt: skip


@pytest.mark.full
def test_damaged_runs_are_named_moved_aside_and_computed_again(
    reference: Path, sweep: Sweep, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = Path(shutil.copytree(reference, tmp_path / "out", symlinks=True))
    rows = json.loads((output / "sweep.json").read_text(encoding="utf-8"))["runs"]
    tuned = next(row for row in rows if row["strategy"] == "fine-tune")
    scratch = next(row for row in rows if row["strategy"] == "scratch" and row["target"] == tuned["target"])
    (source,) = tuned["needs"]
    runs = output / "runs"
    shutil.copy(runs / scratch["id"] / "curve.jsonl", runs / tuned["id"] / "curve.jsonl")
    tensors = runs / source / "bundle" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"?")

    reported = calling(capfd)("report", str(output))
    assert reported.code == 0, reported.err
    told = " ".join(reported.out.split())
    assert f"damaged: {tuned['id']} curve.jsonl was changed, or is of another run" in told
    assert "the next sweep moves 1 run aside and computes it again" in told

    done = sweep("-j", "2")
    assert done.code == 0, done.err
    assert done.out.count("computed again") == 2
    assert {each.name for each in (output / "damaged").iterdir()} == {f"{tuned['id']}-1", f"{source}-1"}
    assert results(output) == results(reference)


def test_views_for_tensorboard_have_readable_names(reference: Path) -> None:
    view = reference / "tensorboard-seeds"
    assert list((view / "reversed" / "fine-tune" / "seed-0").glob("events.out.tfevents.*"))
    assert list((view / "sources" / "base" / "seed-1").glob("events.out.tfevents.*"))
    for run in ("seed-0", "mean"):  # one chart shows the seeds and their mean
        assert PLAYED.curve_tag in scalar_tags(view / "reversed" / "fine-tune" / run)


@pytest.mark.full
def test_a_policy_that_exists_can_be_a_source(reference: Path, sweep: Sweep, tmp_path: Path) -> None:
    rows = json.loads((reference / "sweep.json").read_text(encoding="utf-8"))["runs"]
    trained = reference / "runs" / next(row["id"] for row in rows if row["role"] == "source")
    text = TWO_ARMS.replace(
        "base: {env: {id: CartPole-v1}, training: {total_steps: 128}}", f"zoo: {{policy: {trained}}}"
    )
    done = sweep("-j", "1", text=text)
    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))["runs"]
    given = {row["id"] for row in rows if row["role"] == "source"}
    assert len(given) == 1, "one policy feeds every seed"
    records = [
        json.loads((tmp_path / "out" / "runs" / row["id"] / "record.json").read_text(encoding="utf-8"))
        for row in rows
        if row["strategy"] == "fine-tune" and row["target"] == "reversed"
    ]
    assert {record["source_run"] for record in records} == given
    # The same tensors as in the sweep that trained it: seed 0 ends with the same weights.
    first = next(row for row in rows if row["strategy"] == "fine-tune" and row["target"] == "reversed")
    assert first["seed"] == 0
    assert records[0]["source_steps"] == 128
