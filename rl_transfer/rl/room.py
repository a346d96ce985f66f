"""The door of the RL room: what sweeps and the command line call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rl_transfer.errors import TransferError
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.evaluate import Evaluator
from rl_transfer.rl.policies.bundle import bundle_folder, load_policy, run_identity
from rl_transfer.rl.sources.load import import_source, is_foreign, load_source
from rl_transfer.rl.training.preflight import preflight, resolve
from rl_transfer.rl.training.run import execute
from rl_transfer.seeding import integer_seeds
from rl_transfer.spec import Environment, locate, shipped
from rl_transfer.spec.load import validate
from rl_transfer.spec.shipped import is_path
from rl_transfer.spec.yaml_map import Document, read_yaml

__all__ = ["evaluate_bundle", "execute", "find_source", "preflight", "read_environment", "resolve"]


def find_source(argument: str, output: Path) -> tuple[Path, str]:
    """The bundle folder that ``--source`` names, and the identity that the run id hashes.

    A foreign policy (SB3 zip, Hub name) is imported into ``output/sources/`` first.
    """
    path = Path(argument)
    if path.is_dir() or not is_foreign(argument):
        return bundle_folder(path), run_identity(path, load_policy(path).digest)
    policy = load_source(argument)
    folder = output / "sources" / policy.digest[:16]
    if not folder.exists():
        import_source(argument, folder)
    return folder, f"digest:{policy.digest}"


def read_environment(argument: str | None) -> Environment | None:
    """The environment that ``--env`` names: a YAML file, a shipped target, or a Gymnasium id."""
    if argument is None:
        return None
    if argument in shipped("targets") or (is_path(argument) and argument.endswith((".yaml", ".yml"))):
        document = read_yaml(locate(argument, "targets"))
        data = document.data.get("env", document.data)
        return validate(Environment, Document(data, document.places))
    return Environment(id=argument)


def evaluate_bundle(
    bundle: str, env: Environment | None, episodes: int, seed: int, deterministic: bool
) -> dict[str, Any]:
    """Play seeded episodes with a bundled policy.

    Raises:
        TransferError: the policy's spaces do not fit the environment's.
    """
    policy = load_policy(Path(bundle))
    target = env or policy.env
    evaluator = Evaluator(target, episodes)
    try:
        for what in ("observation_space", "action_space"):
            has, needs = getattr(policy.module, what), getattr(evaluator, what)
            if not spaces.same(has, needs):
                raise TransferError(
                    f"the policy's {what.replace('_', ' ')} is {has}, but {target.id} has {needs}; "
                    "a policy can only act where they agree (`transfer` builds a new head or input layer)"
                )
        played = evaluator.run(
            policy.act(deterministic),
            integer_seeds(episodes, seed, "evaluate", target.digest),
        )
    finally:
        evaluator.close()
    return {
        "env": target.id,
        "perturb": [dict(item) for item in target.perturb],
        "episodes": episodes,
        "seed": seed,
        "mean": played.mean_return,
        "std": float(np.std(played.returns, ddof=1)) if episodes > 1 else 0.0,
        "min": min(played.returns),
        "max": max(played.returns),
        "mean_length": float(np.mean(played.lengths)),
        "returns": played.returns,
        "lengths": played.lengths,
    }
