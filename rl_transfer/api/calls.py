"""``rt.train``, ``rt.transfer``, ``rt.evaluate`` and ``rt.sweep``: the commands, called from Python.

Each takes a config in any form: the name of a shipped one, a path to a YAML file, what such a file would say
as a mapping, or a config object; and overrides as keywords, ``seed=1``, with ``__`` where a key path has a
dot: ``training__total_steps=20480``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from rl_transfer.api.given import (
    check_kind,
    check_path,
    check_run,
    check_truth,
    check_whole,
    located,
    make_folder_importable,
    read_config,
    refuse_missing,
)
from rl_transfer.errors import ConfigError, StoreError, SweepFailed
from rl_transfer.frame import EvaluationRequest, Measured, Say, silent
from rl_transfer.results import RunFolder, RunStore, find_run
from rl_transfer.spec import Environment, parse, shipped
from rl_transfer.spec.engine import SB3
from rl_transfer.sweep.dispatch import SUITES, TRAIN, TRANSFER, room
from rl_transfer.wording import listing

if TYPE_CHECKING:
    from rl_transfer.api.given import ConfigLike
    from rl_transfer.api.results import SweepResults
    from rl_transfer.api.single import SingleRun
    from rl_transfer.results import Labels
    from rl_transfer.sweep.scheduler import OnChange

PathLike = str | os.PathLike[str]
_OF_SOURCE = ("algorithm", "training", "evaluation")
"""What a target alone does not say, and the run that trained the source does."""


def train(
    config: ConfigLike,
    *,
    output: PathLike | None = None,
    events: bool = True,
    reuse_despite: Collection[str] = (),
    track: str | None = None,
    say: Say = silent,
    **overrides: object,
) -> SingleRun:
    """Train one source policy, or find it finished: ``rl-transfer train``.

    Args:
        config: a train config in any form.
        output: folder for the results; None: ``results/NAME``.
        events: whether TensorBoard's event files are written.
        reuse_despite: reuse a finished run though these differ: ``code``, ``versions``.
        track: ``wandb`` or ``wandb:PROJECT``: a tracker that gets it too.
        say: gets a line now and then, such as ``print``.
        **overrides: config values.

    Returns:
        The finished run; it can be given as a source, and be evaluated.

    Raises:
        RLTransferError: what was given is wrong, or the run failed.
    """
    from rl_transfer.api.single import train_one

    check_run(output, track, reuse_despite, say, events=events)
    loaded = read_config(config, TRAIN, "train", _dotted(overrides))
    with located(loaded), _own_threads():
        store = RunStore(Path(output or Path("results", loaded.config.name)), events=events)
        done = train_one(loaded.config, store, track, reuse_despite, say)
    _warn(done.problem)
    return done


def transfer(
    source: PathLike,
    target: ConfigLike,
    *,
    strategy: str | Mapping[str, object] | None = None,
    output: PathLike | None = None,
    events: bool = True,
    reuse_despite: Collection[str] = (),
    track: str | None = None,
    say: Say = silent,
    **overrides: object,
) -> SingleRun:
    """Transfer one source into one target with one strategy: ``rl-transfer transfer``.

    Args:
        source: a run of :func:`train` or its folder, a bundle, an SB3 zip, ``hf://org/repository``; for
            classifiers also published weights, ``torchvision/resnet18``.
        target: a transfer config in any form; or an environment alone (the name of a shipped target, a
            mapping with ``id``, an ``Environment``): algorithm, training and evaluation are those of the
            source's run then.
        strategy: name of a shipped one, a path to a YAML file, or its verbs; None: the config's.
        output: folder for the results; None: ``results/NAME``.
        events: whether TensorBoard's event files are written.
        reuse_despite: reuse a finished run though these differ: ``code``, ``versions``.
        track: ``wandb`` or ``wandb:PROJECT``: a tracker that gets it too.
        say: gets a line now and then, the transfer plan among them.
        **overrides: config values.

    Returns:
        The finished run.

    Raises:
        RLTransferError: what was given is wrong, or the run failed.
    """
    from rl_transfer.api.single import transfer_one

    check_run(output, track, reuse_despite, say, events=events)
    check_path("source", source, needed=True)
    given = _dotted(overrides)
    if strategy is not None:
        given = {"strategy": strategy, **given}
    policy = os.fspath(source)
    loaded = read_config(_as_config(target, policy), TRANSFER, "transfer", given)
    refuse_missing(policy, loaded.config.kind)
    with located(loaded), _own_threads():
        store = RunStore(Path(output or Path("results", loaded.config.name)), events=events)
        done = transfer_one(loaded.config, policy, store, track, reuse_despite, say)
    _warn(done.problem)
    return done


def evaluate(
    policy: PathLike,
    *,
    env: PathLike | Mapping[str, object] | Environment | None = None,
    data: PathLike | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    stochastic: bool = False,
    success: float | str | None = None,
    algorithm: str | None = None,
    mask_zeros: bool = False,
    trunk: PathLike | None = None,
    coral: bool = False,
    unlabelled: int | None = None,
) -> Measured:
    """Play seeded episodes with a policy, or measure a classifier: ``rl-transfer evaluate``.

    Args:
        policy: a run or its folder, a bundle, an SB3 zip, ``hf://org/repository``.
        env: Gymnasium id, shipped target, YAML file, a mapping with ``id``, or an ``Environment``; None: what
            the policy was trained in.
        data: for classifiers: a folder or YAML file; None: what it was trained on.
        episodes: number of seeded episodes, ≥ 1; None: 100.
        seed: root seed of the episodes; None: 0.
        stochastic: sample actions instead of taking the likeliest.
        success: a least return, or the entry of an episode's last ``info`` that says so.
        algorithm: SB3's name, where a foreign file does not tell.
        mask_zeros: hold inputs at 0 that were always 0 in training.
        trunk: for classifiers: another one, whose trunk the head is put behind.
        coral: for classifiers: match features to those of the training data.
        unlabelled: items that ``trunk`` or ``coral`` learns from; None: 256.

    Returns:
        Every number under its name, ``found["mean"]``, ``found["returns"]``; as text a sentence.

    Raises:
        RLTransferError: it cannot be read, or measured on that.
        ConfigError: episodes or seed are none.
    """
    from rl_transfer.api.measuring import measure_one, read_success

    check_path("policy", policy, needed=True)
    for name, path in (("data", data), ("trunk", trunk)):
        check_path(name, path)
    check_kind("success", success, (Real, str), "a return, or the name of an entry of info")
    check_kind("algorithm", algorithm, str, "the name of an algorithm, such as PPO")
    for name, truth in (("stochastic", stochastic), ("mask_zeros", mask_zeros), ("coral", coral)):
        check_truth(name, truth)
    if not isinstance(env, Mapping | Environment):
        check_path("env", env)
    check_whole("episodes", episodes, 1)
    check_whole("seed", seed, 0)
    check_whole("unlabelled", unlabelled, 2)
    where = os.fspath(policy)
    refuse_missing(where)
    task: str | Environment | None = None
    if isinstance(env, Mapping):
        task = parse(Environment, dict(env))
    elif env is not None:
        task = env if isinstance(env, Environment) else os.fspath(env)
    make_folder_importable(task if isinstance(task, str) else None)
    request = EvaluationRequest(
        task,
        None if data is None else os.fspath(data),
        episodes,
        seed,
        False if stochastic else None,
        algorithm,
        mask_zeros or None,
        read_success(None if success is None else str(success)),
        None if trunk is None else os.fspath(trunk),
        coral or None,
        unlabelled,
    )
    with _own_threads():
        return measure_one(where, request)


def sweep(
    suite: ConfigLike,
    *,
    output: PathLike | None = None,
    workers: int | None = None,
    events: bool = True,
    replace_matrix: bool = False,
    reuse_despite: Collection[str] = (),
    track: str | None = None,
    progress: bool = False,
    say: Say = silent,
    **overrides: object,
) -> SweepResults:
    """Run a whole transfer matrix on this machine, or what is left of it, and report: ``rl-transfer sweep``.

    Worker processes get their runs as data. Your script is not run again in them, so it needs no
    ``if __name__ == "__main__"``; what workers need of yours, a config names by module.

    Args:
        suite: a suite in any form.
        output: folder for the results; None: ``results/NAME``.
        workers: runs at a time; None: one per core, as far as memory reaches.
        events: whether TensorBoard's event files are written.
        replace_matrix: let this suite take the place of another matrix in the folder.
        reuse_despite: reuse finished runs though these differ: ``code``, ``versions``.
        track: ``wandb`` or ``wandb:PROJECT``: a tracker that gets the runs too.
        progress: show how it goes.
        say: gets a line now and then, such as ``print``.
        **overrides: config values.

    Returns:
        The sweep, as :func:`load_sweep` gives it.

    Raises:
        RLTransferError: what was given is wrong; nothing was trained.
        ConfigError: less than one worker was asked for.
        SweepFailed: runs failed; what is finished is kept, reported, and can be loaded.
        KeyboardInterrupt: somebody stopped it; what is finished is kept, and the same call continues.
    """
    from rl_transfer.analysis import read_sweep
    from rl_transfer.api.results import SweepResults
    from rl_transfer.api.suites import refuse_failures, run_suite
    from rl_transfer.report import write_report
    from rl_transfer.sweep.local import RUNS_PER_WORKER, LocalExecutor
    from rl_transfer.sweep.memory import choose_workers
    from rl_transfer.sweep.sweep import prepare

    check_whole("workers", workers, 1)
    check_run(
        output, track, reuse_despite, say,
        events=events, replace_matrix=replace_matrix, progress=progress,
    )  # fmt: skip
    loaded = read_config(suite, SUITES, "suites", _dotted(overrides))
    folder = Path(output or Path("results", loaded.config.name))
    with _own_threads():
        with located(loaded):
            plan = prepare(
                loaded.config, folder, say, replace=replace_matrix, despite=reuse_despite, events=events
            )
        for note in plan.notes:
            say(note)
        here = choose_workers(workers, say, plan.memory)
        state, problem = run_suite(
            loaded.config, plan, lambda _: LocalExecutor(here, RUNS_PER_WORKER, say=say, import_main=False),
            _display(room(loaded.config.kind).labels, progress), say,
            track=track, replace=replace_matrix, own_process=False,
        )  # fmt: skip
    _warn(problem)
    matrix = write_report(folder).matrix
    try:
        refuse_failures(state)
    except SweepFailed as failed:
        reasons = [f"{state.graph.label(each)}: {reason}" for each, reason in state.failed.items()]
        raise SweepFailed(f"{failed.message}\n{listing(reasons, 3, separator=chr(10))}") from None
    return SweepResults(folder, read_sweep(folder), matrix)


def _dotted(overrides: Mapping[str, object]) -> dict[str, object]:
    """``training__total_steps`` as ``training.total_steps``."""
    return {name.replace("__", "."): value for name, value in overrides.items()}


def _as_config(target: ConfigLike, source: str) -> ConfigLike:
    """A transfer config; where an environment alone was given, the rest is that of the source's run."""
    if isinstance(target, Environment):
        env: object = target.plain()
    elif (isinstance(target, Mapping) and "id" in target) or (
        isinstance(target, str) and target in shipped("targets")
    ):
        env = target
    else:
        return target
    refuse_missing(source)
    try:
        folder = Path(source)
        of_bundle = folder == RunFolder(folder.parent).bundle
        spec = find_run(folder.parent if of_bundle else folder).record()["spec"]
    except StoreError as error:
        raise ConfigError(
            f"an environment alone takes {listing(_OF_SOURCE)} from the run that trained the source, and "
            f"{error}; give a transfer config"
        ) from None
    if spec.get("kind") != "rl" or not spec.get("training"):
        raise ConfigError(f"{source} was not trained in an environment: give a transfer config as the target")
    taken = {name: spec[name] for name in _OF_SOURCE}
    taken["training"] = {"engine": SB3, **spec["training"]}  # a record leaves this one out
    if "engine_reason" in spec:  # nobody asked for one: what trains here is decided here
        del taken["training"]["engine"]
    return {"kind": "rl", "name": env if isinstance(env, str) else "transfer", "env": env, **taken}


@contextmanager
def _own_threads() -> Iterator[None]:
    """Runs take one thread each, so that they round alike everywhere; the caller gets its own number back."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _display(labels: Labels, progress: bool) -> Iterator[OnChange]:
    """What shows how a sweep goes, on standard output."""
    if not progress:
        yield lambda state, events: None
        return
    from rich.console import Console

    from rl_transfer.sweep.progress import Progress

    with Progress(Console(markup=False, emoji=False, highlight=False), labels) as shown:
        yield shown.update


def _warn(problem: str | None) -> None:
    if problem is not None:
        warnings.warn(f"tracking stopped: {problem}; all results are kept", stacklevel=3)
