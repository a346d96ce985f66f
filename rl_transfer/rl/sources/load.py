"""Where a source policy comes from: our bundles, SB3 zips, the Hugging Face Hub, plain tensor files.

A foreign policy is read without running anything of it, rebuilt from tensors and plain data, and
turned into a bundle; from there on it is a policy like any other. Whatever had to be assumed or
changed on the way stands in ``metadata["notes"]``, one sentence each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from rl_transfer.core import isolated, save_bundle
from rl_transfer.core.archives import file_digest
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.hub import SCHEME, find_bundle
from rl_transfer.results.address import is_address
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.policies.traits import ALGORITHMS
from rl_transfer.rl.sources.assembly import Known, assemble
from rl_transfer.rl.sources.env_names import current, read_name, same_task
from rl_transfer.rl.sources.hub import fetch
from rl_transfer.rl.sources.sb3_zip import ForeignPolicy, read_zip
from rl_transfer.rl.sources.tensor_files import SUFFIXES, read_tensor_file
from rl_transfer.rl.sources.upbringing import CONFIG_NAME, masked, read_wrappers, still_inputs, wrapped
from rl_transfer.rl.sources.vec_normalize import FILE_NAMES, Statistics, read_statistics
from rl_transfer.spec import Environment, PolicyConfig, parse
from rl_transfer.spec.base import Json
from rl_transfer.wording import did_you_mean


@dataclass(frozen=True)
class _Hints:
    """What the user says of a foreign policy; see :func:`load_source`."""

    env: Environment | None = None
    algorithm: str | None = None
    name_map: Mapping[str, str] | None = None
    policy_kwargs: Mapping[str, Json] = field(default_factory=dict)
    statistics: Path | None = None
    mask_zeros: bool = False
    otherwise: Environment | None = None


@dataclass(frozen=True)
class _Located:
    """A foreign policy's file, the statistics and rl-zoo's config beside it, and what its name says."""

    path: Path
    statistics: Path | None
    config: Path | None
    algorithm: str | None
    env: str | None
    repository: str | None = None


def is_foreign(argument: str) -> bool:
    """Whether an argument names a foreign policy: a Hub name, a zip or a state dict file.

    Args:
        argument: as a user gives it; nothing has to exist.
    """
    return argument.startswith(SCHEME) or Path(argument).suffix in (".zip", *SUFFIXES)


def load_source(
    argument: str | Path,
    *,
    env: Environment | None = None,
    algorithm: str | None = None,
    name_map: Mapping[str, str] | None = None,
    policy_kwargs: Mapping[str, Json] | None = None,
    statistics: Path | None = None,
    mask_zeros: bool = False,
    otherwise: Environment | None = None,
) -> Policy:
    """A source policy, wherever it comes from. Nothing in a foreign file is unpickled or run.

    Args:
        argument: one of

            - a bundle folder or run folder of ours; it describes itself, so nothing else may differ;
            - an SB3 zip;
            - ``hf://org/repository[/file.zip][@revision]`` on the Hugging Face Hub (extra ``hub``), a zip, or
              a bundle of ours;
            - a ``.safetensors``, ``.pth`` or ``.pt`` state dict; needs ``env`` and ``algorithm``.
        env: where it was trained; by default read off the file's name (``ppo-CartPole-v1.zip``),
            old versions under their present names (``env_names.RENAMES``).
        algorithm: SB3's name of the algorithm; by default read off tensors, hyperparameters, name.
        name_map: the file's tensor names or dotted prefixes → SB3's (longest match first); what is
            not needed is sent to ``unused``.
        policy_kwargs: what the file cannot say of the network, as in a config: ``activation``,
            ``features_extractor`` (an import path into the user's own code) …
        statistics: the ``VecNormalize`` file; by default ``vec_normalize.pkl`` or
            ``vecnormalize.pkl`` beside the zip or in a folder there named like it.
        mask_zeros: hold the inputs at 0 that were always 0 while it was trained, by its statistics.
        otherwise: where it was trained if nobody says, neither the file nor ``env``.

    Returns:
        The policy. ``bundle.digest`` identifies its content; ``metadata["notes"]`` lists what was
        assumed, renamed or converted.

    Raises:
        BundleError: the file is missing, damaged, hostile, of another kind, ambiguous, or contradicts
            what is said of it.
        ConfigError: ``algorithm`` or ``policy_kwargs`` are malformed.
        TransferError: the name map does not fit the file.
        MissingExtraError: an extra that the source needs is not installed.
        EnvironmentSpecError: the spaces are not in the file and ``env`` cannot be built.
    """
    hints = _hints(env, algorithm, name_map, policy_kwargs, statistics)
    hints = replace(hints, mask_zeros=mask_zeros, otherwise=otherwise)
    argument = _fetched(argument)
    # Building a network draws random numbers; an environment of the user's may change the current folder.
    with isolated(seed=0), chdir("."):
        if _is_folder(argument):
            return _own(Path(argument), hints)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            folder = Path(scratch, "bundle")
            save_bundle(folder, *_content(argument, hints), kind="policy")
            return load_policy(folder)


def import_source(
    argument: str | Path,
    folder: str | Path,
    *,
    env: Environment | None = None,
    algorithm: str | None = None,
    name_map: Mapping[str, str] | None = None,
    policy_kwargs: Mapping[str, Json] | None = None,
    statistics: Path | None = None,
    mask_zeros: bool = False,
) -> Policy:
    """Write a source policy as one of our bundles and return it; see :func:`load_source`.

    The digest is the one that :func:`load_source` gives for the same arguments.

    Args:
        argument: as :func:`load_source` takes it, and so are the others.
        folder: the bundle to write; must not exist.
        env: where the policy was trained.
        algorithm: SB3's name of the algorithm.
        name_map: the file's tensor names or prefixes → SB3's.
        policy_kwargs: what the file cannot say of the network.
        statistics: the ``VecNormalize`` file.
        mask_zeros: hold the inputs at 0 that never moved.

    Returns:
        The policy, as the written bundle gives it.

    Raises:
        BundleError: ``folder`` exists, or as :func:`load_source`.
        ConfigError: ``algorithm`` or ``policy_kwargs`` are malformed.
    """
    hints = replace(_hints(env, algorithm, name_map, policy_kwargs, statistics), mask_zeros=mask_zeros)
    argument = _fetched(argument)
    with isolated(seed=0):
        if _is_folder(argument):
            bundle = _own(Path(argument), hints).bundle
            tensors, metadata = {**bundle.tensors, **bundle.state()}, dict(bundle.metadata)
        else:
            with chdir("."):
                tensors, metadata = _content(argument, hints)
        save_bundle(folder, tensors, metadata, kind="policy")
        return load_policy(Path(folder))


def _hints(
    env: Environment | None,
    algorithm: str | None,
    name_map: Mapping[str, str] | None,
    policy_kwargs: Mapping[str, Json] | None,
    statistics: Path | None,
) -> _Hints:
    if algorithm is not None:
        name = algorithm.upper().replace("-", "").replace("_", "")
        if name not in ALGORITHMS:
            raise ConfigError(
                f"unknown algorithm {algorithm!r}.{did_you_mean(name, ALGORITHMS)} "
                f"Known are {', '.join(ALGORITHMS)}"
            )
        algorithm = name
    parse(PolicyConfig, dict(policy_kwargs or {}))
    return _Hints(env, algorithm, name_map, dict(policy_kwargs or {}), statistics)


def _fetched(argument: str | Path) -> str | Path:
    """The folder of a bundle that lies on the Hub; everything else as it is."""
    return (str(argument).startswith(SCHEME) and find_bundle(str(argument))) or argument


def _is_folder(argument: str | Path) -> bool:
    return not str(argument).startswith(SCHEME) and (Path(argument).is_dir() or is_address(Path(argument)))


def _own(path: Path, hints: _Hints) -> Policy:
    """One of our bundles, which describes itself."""
    policy = load_policy(path)
    if hints.algorithm not in (None, policy.algorithm.name):
        raise BundleError(
            f"{path} is a {policy.algorithm.name} policy, but algorithm {hints.algorithm} was given"
        )
    if hints.env is not None and hints.env != policy.described_env:
        raise BundleError(
            f"{path} was trained in {policy.described_env.id}, but the environment {hints.env.id} was given "
            "for it; a bundle describes itself, leave the environment out"
        )
    if hints.name_map or hints.policy_kwargs or hints.statistics or hints.mask_zeros:
        raise BundleError(
            f"{path} is a bundle, which describes itself; name map, policy_kwargs, statistics and a mask are "
            "for foreign files"
        )
    return policy


def _locate(argument: str | Path, hints: _Hints) -> _Located:
    if str(argument).startswith(SCHEME):
        files = fetch(str(argument))
        named = read_name(Path(files.repository, files.policy.name))
        statistics = hints.statistics or files.statistics
        return _Located(files.policy, statistics, files.config, named.algorithm, named.env, files.repository)
    path = Path(argument)
    if not path.is_file():
        raise BundleError(
            f"{path}: no such file or folder; a source is a bundle or run folder, an SB3 zip, "
            f"hf://org/repository, or a state dict ({', '.join(SUFFIXES)})"
        )
    if path.suffix not in (".zip", *SUFFIXES):
        raise BundleError(
            f"{path} is neither an SB3 zip nor a state dict ({', '.join(SUFFIXES)}) nor a bundle folder"
        )
    named = read_name(path)
    folders = [path.parent, path.parent / path.stem, *([path.parent / named.env] if named.env else [])]
    found, config = (
        next((each for folder in folders for name in names if (each := folder / name).is_file()), None)
        if path.suffix == ".zip"
        else None
        for names in (FILE_NAMES, (CONFIG_NAME,))
    )
    return _Located(path, hints.statistics or found, config, named.algorithm, named.env)


def _content(argument: str | Path, hints: _Hints) -> tuple[dict[str, Tensor], dict[str, Json]]:
    """Tensors and metadata of the bundle that a foreign policy becomes."""
    located = _locate(argument, hints)
    foreign = read_zip(located.path) if located.path.suffix == ".zip" else _state_dict(located.path, hints)
    statistics = read_statistics(located.statistics) if located.statistics else None
    env, notes = _surroundings(located, hints, statistics)
    known = Known(
        where=located.path.name,
        env=env,
        algorithm=hints.algorithm,
        named=located.algorithm,
        name_map=hints.name_map,
        policy_kwargs=hints.policy_kwargs,
        statistics=statistics,
        repository=located.repository,
        notes=notes,
        doubtful=hints.env is not None and located.env is None,
    )
    return assemble(foreign, known)


def _state_dict(path: Path, hints: _Hints) -> ForeignPolicy:
    missing = [name for name in ("env", "algorithm") if getattr(hints, name) is None]
    if missing:
        raise BundleError(
            f"{path.name} is a state dict, which holds tensors alone; say its {' and '.join(missing)} as well"
        )
    state = read_tensor_file(path)
    return ForeignPolicy(state, None, None, {}, "state dict", file_digest(path))


def _surroundings(
    located: _Located, hints: _Hints, statistics: Statistics | None
) -> tuple[Environment, tuple[str, ...]]:
    """Where the policy was trained, and what was assumed of it.

    Who says what the files say anyway gets the same policy with the same notes, and so the same digest.
    """
    if hints.env is not None and located.env is not None:
        unsaid = _surroundings(located, replace(hints, env=None), statistics)
        if unsaid[0] == hints.env:
            return unsaid
    env, notes = _environment(located, hints)
    wrappers, unread = read_wrappers(located.config) if located.config else ([], [])
    env, wrapping = wrapped(env, wrappers)
    env, masking = masked(env, still_inputs(statistics), hints.mask_zeros)
    return env, (*notes, *unread, *wrapping, *masking)


def _environment(located: _Located, hints: _Hints) -> tuple[Environment, tuple[str, ...]]:
    if hints.env is not None and located.env is not None and not same_task(hints.env.id, located.env):
        raise BundleError(
            f"{located.path.name}: environment {hints.env.id} was given, but by its name the policy was "
            f"trained in {located.env}. Leave the environment out; if the name is wrong, rename the file"
        )
    if hints.env is not None:
        return hints.env, ()
    if located.env is None and hints.otherwise is not None:
        return hints.otherwise, ()
    if located.env is None:
        raise BundleError(
            f"{located.path.name} does not say which environment it was trained in; give the environment, or "
            "name the file like ppo-CartPole-v1.zip"
        )
    env, renamed = current(located.env)
    return env, (renamed or f"environment {located.env} was read off the file's name",)
