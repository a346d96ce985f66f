"""Which engine trains: decided once, while a run or a suite is planned, and part of every run's id.

All runs on one target have one engine: an arm on another one than its baseline would measure the engines,
not the transfer. Where one arm does not fit the compiled engine, the whole target runs on SB3.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir
from functools import cache

from stable_baselines3.common.base_class import BaseAlgorithm

from rl_transfer.errors import MissingExtraError, RLTransferError, TransferError
from rl_transfer.frame import Say
from rl_transfer.results import library_versions
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.training.fits import misfit
from rl_transfer.spec import Algorithm, Environment, RLRun, RLSuite
from rl_transfer.spec.base import Json
from rl_transfer.spec.engine import AUTO, COMPILED, SB3, AskedEngine, ChosenEngine
from rl_transfer.spec.rl_suite import RLSource, RLTarget
from rl_transfer.wording import counted, in_words, listing

KEY = "training.engine"
LIBRARIES = ("numba", "llvmlite", "scipy")
"""Distributions that can change a number of compiled runs, beside those of all runs of policies."""
REMEDY = 'pip install "rl-transfer[fast]"'
FIRST_RUN = "; the first run compiles it for this machine, once: about half a minute without a sign"


@cache
def compiler_problem() -> str | None:
    """Why nothing can be compiled here; only a whole, working installation is imported.

    Returns:
        A clause with its remedy, for people; None if the compiled engine can be used.
    """
    missing = [name for name in ("numba", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{in_words(missing)} {'is' if len(missing) == 1 else 'are'} not installed: {REMEDY}"
    try:
        importlib.import_module("rl_transfer.engine.compiling")
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"numba cannot be loaded ({type(error).__name__}: {said}): {REMEDY}"
    return None


def with_engine(run: RLRun, say: Say) -> RLRun:
    """A single run with ``training.engine`` decided.

    Args:
        run: as its config says it.
        say: is told what ``auto`` became.

    Returns:
        The run as it is where SB3 was asked for.

    Raises:
        TransferError: ``compiled`` was asked for, and the run does not fit; at ``training.engine``.
        MissingExtraError: ``compiled`` was asked for, and Numba cannot be used.
    """
    asked = SB3 if run.training is None else run.training.asked_engine
    if asked == SB3:
        return run
    misfits = [each for each in [misfit(run, *_Spaces().of(run.env))] if each]
    chosen = _choose(asked, misfits, KEY, "this run")
    say(f"engine {chosen.name}: {chosen.reason}{_patience(chosen.name, [run.algorithm])}")
    return run.on_engine(chosen)


def with_engines(suite: RLSuite, say: Say) -> RLSuite:
    """A suite whose trained sources and targets have their engines.

    Args:
        suite: with every source's task.
        say: is told, once for each engine and reason, where it trains.

    Returns:
        The suite whose runs can be named.

    Raises:
        TransferError: ``compiled`` was asked for, and some run does not fit; at ``training.engine``.
        MissingExtraError: ``compiled`` was asked for, and Numba cannot be used.
    """
    built = _Spaces()
    entries: list[tuple[str, str, RLSource | RLTarget]] = [
        *(("sources", name, source) for name, source in suite.sources.items() if not source.exists),
        *(("targets", name, target) for name, target in suite.targets.items()),
    ]
    chosen: dict[tuple[str, str], ChosenEngine | None] = {}
    for group, name, entry in entries:
        key, asked = _asked(suite, group, name, entry)
        what = f"{group[:-1]} {name!r}"
        misfits = [] if asked == SB3 else list(dict.fromkeys(_misfits(suite, group, name, built)))
        chosen[group, name] = None if asked == SB3 else _choose(asked, misfits, key, what)
    learners = [
        (entry.algorithm if isinstance(entry, RLSource) else None) or suite.algorithm
        for group, name, entry in entries
        if (found := chosen[group, name]) is not None and found.name == COMPILED
    ]
    for (engine, reason), where in _grouped(chosen).items():
        say(f"engine {engine}: {reason} ({where}){_patience(engine, learners)}")
    return suite.model_copy(
        update={
            group: {name: each.on_engine(chosen.get((group, name))) for name, each in there.items()}
            for group, there in (("sources", suite.sources), ("targets", suite.targets))
        }
    )


def engine_record(run: RLRun) -> dict[str, Json]:
    """What a record says of the engine that trained a run.

    Args:
        run: trained.

    Returns:
        ``name``; ``reason``: why it was this one and not the other; where it was the compiled one, ``blas``
        and ``blas_kernels``.
    """
    reason = run.engine_reason or f"{KEY} is {run.engine}"
    return {"name": run.engine, "reason": reason, **(_blas() if run.engine == COMPILED else {})}


def engine_versions(run: RLRun) -> Mapping[str, str]:
    """Versions of the libraries that the compiled engine rests on; none for a run on SB3.

    Args:
        run: any.
    """
    return library_versions(LIBRARIES) if run.engine == COMPILED else {}


def refuse_other_engine(run: RLRun) -> None:
    """Refuse to execute a run whose engine is not decided, or cannot work in this process.

    A run never changes its engine on the way: its id rests on it, and its target has one engine.

    Args:
        run: to be executed.

    Raises:
        TransferError: ``auto`` was never decided.
        MissingExtraError: it was planned for the compiled engine, and Numba cannot be used here.
    """
    if run.engine == AUTO:
        raise TransferError("training.engine is auto, and nobody decided what that means here", key=KEY)
    problem = compiler_problem() if run.engine == COMPILED else None
    if problem is not None:
        raise MissingExtraError(
            f"the run was planned for the compiled engine, and in this process {problem}. Its id says which "
            "engine trains, so it does not change it on the way; plan it here again, or with "
            "training.engine=sb3",
            key=KEY,
        )


def refuse_uncompiled(run: RLRun, model: BaseAlgorithm, anchored: bool) -> None:
    """Refuse a run for the compiled engine whose built model it cannot train.

    What :mod:`rl_transfer.rl.training.fits` lets pass should fit; this is told before anything is trained all
    the same.

    Args:
        run: with its engine.
        model: complete, its strategy applied.
        anchored: whether anchors of the strategy hook into its optimizer.

    Raises:
        TransferError: the engine cannot train the model; at ``training.engine``.
    """
    if run.engine != COMPILED or run.strategy is None or not run.strategy.train:
        return
    from rl_transfer.rl.compiled.fit import why_not  # heavy: Numba and SciPy

    reason = why_not(model, anchored)
    if reason is not None:
        raise TransferError(
            f"the compiled engine cannot train this: {reason}; say training.engine=sb3", key=KEY
        )


def _blas() -> dict[str, Json]:
    import scipy  # heavy, and only there with the compiled engine

    from rl_transfer.engine.compiling import blas_kernels

    found = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"blas": f"{found['name']} {found['version']}", "blas_kernels": blas_kernels()}


class _Spaces:
    """Spaces of environments, each built once; those that cannot be built are refused by the preflight."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Space | None, Space | None]] = {}

    def of(self, env: Environment) -> tuple[Space | None, Space | None]:
        if env.digest not in self._known:
            self._known[env.digest] = self._built(env)
        return self._known[env.digest]

    def _built(self, env: Environment) -> tuple[Space | None, Space | None]:
        try:
            with chdir("."):  # an environment of the user's may change the current folder
                built = make_env(env)
                built.close()
        except RLTransferError:
            return None, None
        return built.observation_space, built.action_space


def _asked(suite: RLSuite, group: str, name: str, entry: RLSource | RLTarget) -> tuple[str, AskedEngine]:
    """The key that says which engine an entry has, and what it says; a budget of its own may leave it out."""
    own = entry.training
    if own is not None and "engine" in own.model_fields_set:
        return f"{group}.{name}.{KEY}", own.engine
    return KEY, suite.training.asked_engine


def _misfits(suite: RLSuite, group: str, name: str, built: _Spaces) -> Iterator[str]:
    """Why runs on a task do not fit, each arm with its name."""
    first = suite.all_seeds[0]
    if group == "sources":
        run = suite.source_run(name, first)
        why = misfit(run, *built.of(run.env)) if isinstance(run, RLRun) else None
        if why is not None:
            yield why
        return
    for strategy in suite.strategies:
        for source in suite.sources:
            run = suite.target_run(name, strategy, source, "planned", first)
            why = misfit(run, *built.of(run.env)) if isinstance(run, RLRun) else None
            if why is not None:
                yield f"strategy {strategy.name!r}: {why}"


def _choose(asked: AskedEngine, misfits: list[str], key: str, what: str) -> ChosenEngine:
    if asked == COMPILED and misfits:
        raise TransferError(
            f"{key} is compiled, but {what} does not fit: {listing(misfits, 5, '; ')}. With auto it trains "
            "on SB3, all arms of a target on one engine (docs/engine.md)",
            key=key,
        )
    if misfits:
        return ChosenEngine(name=SB3, reason=f"not compiled, {listing(misfits, 3, '; ')}")
    problem = compiler_problem()
    if problem is not None and asked == COMPILED:
        raise MissingExtraError(f"{key} is compiled, but {problem}", key=key)
    if problem is not None:
        return ChosenEngine(name=SB3, reason=f"not compiled, {problem}")
    return ChosenEngine(name=COMPILED, reason="asked for" if asked == COMPILED else "everything fits")


def _patience(engine: str, learners: Iterable[Algorithm | None]) -> str:
    """What follows the name of an engine whose first run says nothing for a while; mostly empty."""
    if engine != COMPILED:
        return ""
    from rl_transfer.engine.compiling import is_kept  # heavy: Numba and SciPy

    modules = {traits_of(each.name).compiled for each in learners if each is not None}
    return "" if all(map(is_kept, modules)) else FIRST_RUN


def _grouped(chosen: Mapping[tuple[str, str], ChosenEngine | None]) -> dict[tuple[str, str], str]:
    """Engine and reason → the tasks that have both, in words."""
    found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (group, name), engine in chosen.items():
        if engine is not None:
            found[engine.name, engine.reason][group[:-1]].append(name)
    return {
        which: "; ".join(f"{counted(len(names), group)}: {listing(names)}" for group, names in groups.items())
        for which, groups in found.items()
    }
