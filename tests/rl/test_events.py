"""What Stable-Baselines3 logs becomes events of the run; without them a run is the same."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_transfer.frame.events import EventWriter
from rl_transfer.results import PLAYED, RunFolder, run_id
from rl_transfer.rl.training.events import logger_of
from rl_transfer.rl.training.run import execute
from support.events import scalar_tags
from support.rl import Execute, make_run


def test_numbers_are_the_runs_own_and_whatever_else_a_hook_logs_is_kept_beside_them(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    events = EventWriter(folder)
    logger = logger_of(folder, events)
    logger.record("train/loss", 0.5)
    logger.record("train/n_updates", 10, exclude="csv")
    logger.record("time/iterations", 1, exclude="tensorboard")
    logger.record("hook/note", "a text")
    logger.dump(32)
    logger.close()
    events.close()
    assert scalar_tags(folder.tensorboard) == ["train/loss", "train/n_updates"]
    others = EventAccumulator(str(folder.tensorboard / "others"))
    others.Reload()
    assert others.Tags()["tensors"] == ["hook/note/text_summary"]


def test_a_run_without_events_is_the_same_run(run: Execute, tmp_path: Path) -> None:
    whole = run()
    spec = make_run()
    silent = RunFolder(tmp_path / "silent" / run_id(spec), events=False)
    execute(spec, silent, say=lambda _: None)
    tags = scalar_tags(whole.tensorboard)
    assert {PLAYED.curve_tag, "train/loss", "rollout/ep_rew_mean", "parameters/trainable"} <= set(tags)
    assert not silent.tensorboard.exists()
    assert silent.path.name == whole.path.name
    assert silent.curve() == whole.curve()
    assert silent.record()["weights_digest"] == whole.record()["weights_digest"]
    assert silent.record()["files"] == whole.record()["files"]
