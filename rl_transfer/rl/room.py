"""The door of the RL room: what sweeps and the command line call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rl_transfer.core import inventory
from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.frame import (
    EvaluationRequest,
    Facts,
    FoundSource,
    InspectionHints,
    Measured,
    Room,
    Say,
    bundle_folder,
    run_identity,
    silent,
)
from rl_transfer.frame.scores import ScoringRequest, SourceScores
from rl_transfer.results import PLAYED, RunFolder
from rl_transfer.results.portraits import Portraits
from rl_transfer.results.published import PublishedPolicy
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.described import as_spec
from rl_transfer.rl.environments.evaluate import Episodes, Evaluator, SinglePlayers
from rl_transfer.rl.environments.portraits import portray
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.policies.normalization import PREFIX
from rl_transfer.rl.policies.onnx_graph import export_onnx
from rl_transfer.rl.publishing import publish_policy
from rl_transfer.rl.scores.run import execute_scoring
from rl_transfer.rl.scores.score import check_steps
from rl_transfer.rl.scores.several import score_sources
from rl_transfer.rl.sources.load import import_source, is_foreign, load_source
from rl_transfer.rl.strategy.align import charged_steps
from rl_transfer.rl.training.engines import with_engine, with_engines
from rl_transfer.rl.training.preflight import preflight, resolve
from rl_transfer.rl.training.run import execute
from rl_transfer.seeding import integer_seeds
from rl_transfer.spec import Environment, RLRun, RLSuite
from rl_transfer.spec.base import Json
from rl_transfer.spec.environment import read_environment
from rl_transfer.wording import in_words
from rl_transfer_envs import canonical
from rl_transfer_envs.show.label import label

EPISODES = 100
"""Of an evaluation that does not say how many."""


class RLRoom:
    """Runs of reinforcement learning, on Stable-Baselines3."""

    labels = PLAYED

    def execute(self, run: RLRun, folder: RunFolder, source: Path | None, say: Say = print) -> None:
        """Execute one run; see :meth:`rl_transfer.frame.Room.execute`."""
        if run.policy == "scored":
            execute_scoring(run, folder, source, say)
            return
        execute(run, folder, source, say)

    def resolve_run(self, run: RLRun, say: Say = silent) -> RLRun:
        """Decide which engine trains; refuse an alignment that the budget cannot pay.

        Raises:
            TransferError: the pairs cost more steps than there are.
        """
        charged_steps(run)
        return with_engine(run, say)

    def resolve(self, suite: RLSuite, say: Say = silent) -> RLSuite:
        """Fill in environment and digest of the sources that are policies already; decide what trains."""
        return with_engines(resolve(suite), say)

    def preflight(self, suite: RLSuite, say: Say = silent) -> Facts:
        """Build every environment, prove every perturbation, plan every transfer on fresh networks."""
        facts = preflight(suite, say)
        if suite.scores is not None:
            for target in suite.targets.values():
                check_steps(target.env, suite.scores.steps)
        return facts

    def portray(self, suite: RLSuite, known: Portraits) -> Iterator[Portraits]:
        """Environments as they are at their first reset, base and perturbed; see :meth:`Room.portray`."""
        return portray(suite, known)

    def find_source(self, argument: str, output: Path) -> FoundSource:
        """The policy that ``--source`` names; SB3 zips and Hub names are imported first.

        Raises:
            BundleError: there is no such policy, or it cannot be read.
        """
        path = Path(argument)
        if path.is_dir() or not is_foreign(argument):
            policy = load_policy(path)
            described = {"algorithm": policy.algorithm.plain()}
            return FoundSource(bundle_folder(path), run_identity(path, policy.digest), described)
        policy = load_source(argument)
        folder = output / "sources" / policy.digest[:16]
        if not folder.exists():
            import_source(argument, folder)
        described = {"algorithm": policy.algorithm.plain()}
        return FoundSource(folder, f"digest:{policy.digest}", described, _notes(policy))

    def inspect(self, argument: str, hints: InspectionHints) -> Sequence[Mapping[str, Json]]:
        """The tensors of a policy, with its normalisation statistics."""
        policy = load_source(argument, env=read_environment(hints.env), algorithm=hints.algorithm)
        statistics = {name: each for name, each in policy.bundle.tensors.items() if name.startswith(PREFIX)}
        return inventory(policy.parts, policy.state, statistics)

    def evaluate(self, argument: str, request: EvaluationRequest) -> Measured:
        """Play seeded episodes with a policy, foreign ones included.

        Raises:
            ConfigError: data are named; a policy is measured in an environment.
            BundleError: the policy cannot be read.
            TransferError: the policy's spaces do not fit the environment's.
        """
        if request.data is not None:
            if not is_foreign(argument):
                bundle_folder(Path(argument))
            raise ConfigError(f"{argument} is a policy; it is measured in an --env, not on --data")
        given = [name for name, value in request.of_classifiers.items() if value is not None]
        if given:
            raise ConfigError(
                f"{argument} is a policy; {in_words(given)} can only be given for a classifier. The strategy "
                "align does the same for policies"
            )
        episodes = EPISODES if request.episodes is None else request.episodes
        seed = 0 if request.seed is None else request.seed
        env = read_environment(request.env)
        mask = bool(request.mask_zeros)
        policy = load_source(argument, algorithm=request.algorithm, mask_zeros=mask, otherwise=env)
        info = request.success if isinstance(request.success, str) else None
        target, played = play(policy, env, episodes, seed, request.deterministic is not False, info)
        notes = _notes(policy) if is_foreign(argument) else ()
        mean, length = played.mean_return, float(np.mean(played.lengths))
        std = float(np.std(played.returns, ddof=1)) if episodes > 1 else 0.0
        low, high = min(played.returns), max(played.returns)
        spec = canonical(as_spec(target))
        said = request.env if isinstance(request.env, str) else None
        name = f"{said}, {spec['id']}" if said not in (None, spec["id"]) else spec["id"]
        text = "".join(f"note: {note}\n" for note in notes) + (
            f"{name} ({label(spec)}): mean return {mean:.2f} ± {std:.2f} (standard deviation) over "
            f"{episodes} episodes, min {low:.2f}, max {high:.2f}, mean length {length:.1f}"
        )
        data: dict[str, Json] = {
            "target": said,
            "env": spec["id"],
            "perturb": [*spec["perturb"]],
            "episodes": episodes,
            "seed": seed,
            "mean": mean,
            "std": std,
            "min": low,
            "max": high,
            "mean_length": length,
            "returns": [*played.returns],
            "lengths": [*played.lengths],
            **_successes(played, request.success),
            **({"notes": [*notes]} if notes else {}),
        }
        return Measured(data, text)

    def publish(self, argument: str, folder: Path, onnx: bool) -> PublishedPolicy:
        """Write a policy for this package and for SB3; see :meth:`rl_transfer.frame.Room.publish`."""
        return publish_policy(argument, folder, onnx)

    def export_graph(self, argument: str, destination: Path) -> str:
        """A policy as an ONNX graph; see :meth:`rl_transfer.frame.Room.export_graph`."""
        return str(export_onnx(Path(argument), destination))

    def score_sources(
        self, arguments: Sequence[str], request: ScoringRequest, say: Say = silent
    ) -> Sequence[SourceScores]:
        """Score policies in an environment; see :meth:`rl_transfer.frame.Room.score_sources`."""
        return score_sources(arguments, request, say)


ROOM: Room[RLRun, RLSuite] = RLRoom()


def _notes(policy: Policy) -> tuple[str, ...]:
    return tuple(map(str, policy.metadata.get("notes") or ()))


def _successes(played: Episodes, success: float | str | None) -> dict[str, Json]:
    if success is None or isinstance(success, str):
        return {} if played.successes is None else {"successes": [*played.successes]}
    return {"successes": [each >= success for each in played.returns]}


def play(
    policy: Policy,
    env: Environment | None,
    episodes: int,
    seed: int,
    deterministic: bool,
    success: str | None = None,
) -> tuple[Environment, Episodes]:
    """Play seeded episodes with a policy.

    Args:
        policy: as :func:`rl_transfer.rl.sources.load.load_source` gives it.
        env: where; None: in the environment that it was trained in.
        episodes: how many, ≥ 1.
        seed: root seed of the episodes.
        deterministic: the likeliest action instead of a sampled one.
        success: entry of an episode's last ``info`` that says whether it succeeded; None: not asked for.

    Returns:
        The environment and what was played in it.

    Raises:
        TransferError: the policy's spaces do not fit the environment's.
        EnvironmentSpecError: its ``info`` has no such entry.
    """
    target = env or policy.env
    players = SinglePlayers(target, episodes, success=success)
    evaluator = Evaluator(target, episodes, players=players)
    try:
        for what in ("observation_space", "action_space"):
            has, needs = getattr(policy.module, what), getattr(evaluator, what)
            if not spaces.same(has, needs):
                raise TransferError(
                    f"the policy's {what.replace('_', ' ')} is {has}, but {target.id} has {needs}; "
                    "a policy can only act where they agree (`transfer` builds a new head or input layer)"
                )
        seeds = integer_seeds(episodes, seed, "evaluate", target.digest)
        return target, evaluator.run(policy.act(deterministic), seeds)
    finally:
        evaluator.close()
