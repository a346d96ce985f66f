"""What tells the algorithms apart: one row each, the only place in this room that names them.

A new algorithm is a config in ``rl_transfer.spec.algorithms`` and a row here. Everything else asks the
row: which package has the class, which modules the policy consists of, what its actions are drawn
from, which networks have target networks, and which verbs of a strategy it cannot follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rl_transfer.errors import TransferError

Family = Literal["on-policy", "q-learning", "actor-critic"]
Actions = Literal["distribution", "greedy", "deterministic"]

MASKED, UNMASKED = "MaskablePPO", "PPO"
"""sb3-contrib's algorithm that acts under masks, and the one here with the same network."""
RECURRENT = "RecurrentPPO"
"""sb3-contrib's algorithm whose policy has a hidden state; there is none of the kind here."""
ANY = None
"""In a signature: whatever the value is, the hyperparameter is there."""


@dataclass(frozen=True)
class Traits:
    """What this room has to know of an algorithm.

    Attributes:
        package: the import package of SB3's class.
        family: which modules its policy has: one network with two heads (``on-policy``), a network of
            action values (``q-learning``), or an actor and critics (``actor-critic``).
        actions: whether the policy draws them from a ``distribution`` with a likelihood, takes the
            ``greedy`` maximum of action values, or computes them (``deterministic``).
        network: for Q-learning, the policy's attribute that holds the network.
        targets: attributes of the policy: online network, its target network.
        separate_critic: whether an update takes a gradient step of the critic alone, so that it
            cannot be frozen as a whole.
        natural_gradient: whether the actor steps inside a trust region instead of by its optimizer.
        several_epochs: whether ``train()`` passes a rollout through the network ``n_epochs`` times.
        learns_entropy: whether ``ent_coef: auto`` is learned, outside the policy.
        quantiles: what has ``n_quantiles`` outputs per value: the action ``head``, or the ``critics``.
        policy_defaults: ``policy_kwargs`` that SB3's class fills in and its policy alone does not.
        optimizer_kwargs: arguments of the optimizer that SB3's class sets where the user sets none, with
            their values or ``ANY`` for one that is a hyperparameter; ``None``: it leaves the optimizer alone.
        epsilon_per_batch: ``eps`` of the optimizer times the batch size, where SB3's class derives it so.
        signature: hyperparameters by which SB3's ``data`` tell it from algorithms with the same
            tensors, with their values or ``ANY``.
        compiled: the module of the compiled engine that trains it too; empty: none does.
    """

    package: Literal["stable_baselines3", "sb3_contrib"]
    family: Family
    actions: Actions
    network: str = ""
    targets: tuple[tuple[str, str], ...] = ()
    separate_critic: bool = False
    natural_gradient: bool = False
    several_epochs: bool = False
    learns_entropy: bool = False
    quantiles: Literal["head", "critics"] | None = None
    policy_defaults: Mapping[str, int] = field(default_factory=dict)
    optimizer_kwargs: Mapping[str, float | None] | None = None
    epsilon_per_batch: float | None = None
    signature: Mapping[str, float | None] = field(default_factory=dict)
    compiled: str = ""

    @property
    def off_policy(self) -> bool:
        """Whether it learns from a replay buffer, beginning after ``learning_starts`` steps."""
        return self.family != "on-policy"

    @property
    def actor(self) -> str:
        """What the names of the acting network's tensors begin with, dot included."""
        return {"on-policy": "", "q-learning": f"{self.network}.", "actor-critic": "actor."}[self.family]


_CRITIC = (("critic", "critic_target"),)
_BOTH = (("actor", "actor_target"), *_CRITIC)

TRAITS: dict[str, Traits] = {
    "PPO": Traits(
        "stable_baselines3", "on-policy", "distribution", several_epochs=True,
        signature={"gae_lambda": ANY, "clip_range": ANY}, compiled="ppo",
    ),
    "A2C": Traits(
        "stable_baselines3", "on-policy", "distribution",
        optimizer_kwargs={"alpha": 0.99, "eps": ANY, "weight_decay": 0}, signature={"gae_lambda": ANY},
        compiled="ppo",
    ),
    "TRPO": Traits(
        "sb3_contrib", "on-policy", "distribution", separate_critic=True, natural_gradient=True,
        signature={"gae_lambda": ANY, "cg_max_steps": ANY},
    ),
    "DQN": Traits(
        "stable_baselines3", "q-learning", "greedy", network="q_net", targets=(("q_net", "q_net_target"),),
        compiled="dqn",
    ),
    "QRDQN": Traits(
        "sb3_contrib", "q-learning", "greedy", network="quantile_net",
        targets=(("quantile_net", "quantile_net_target"),),
        quantiles="head", policy_defaults={"n_quantiles": 200}, epsilon_per_batch=0.01,
    ),
    "SAC": Traits(
        "stable_baselines3", "actor-critic", "distribution", targets=_CRITIC, separate_critic=True,
        learns_entropy=True,
    ),
    "TQC": Traits(
        "sb3_contrib", "actor-critic", "distribution", targets=_CRITIC, separate_critic=True,
        learns_entropy=True, quantiles="critics",
    ),
    "TD3": Traits(
        "stable_baselines3", "actor-critic", "deterministic", targets=_BOTH, separate_critic=True,
        signature={"policy_delay": ANY},
    ),
    "DDPG": Traits(
        "stable_baselines3", "actor-critic", "deterministic", targets=_BOTH, separate_critic=True,
        policy_defaults={"n_critics": 1}, signature={"policy_delay": 1, "target_noise_clip": 0},
    ),
}  # fmt: skip
"""SB3's name of an algorithm → its row. Names are those of ``rl_transfer.spec``'s configs."""

ALGORITHMS = tuple(TRAITS)


def traits_of(algorithm: str) -> Traits:
    """The row of an algorithm.

    Args:
        algorithm: SB3's name of it, one of ``ALGORITHMS``.

    Returns:
        What is true of every policy and model of that algorithm.

    Raises:
        TransferError: there is none of that name.
    """
    try:
        return TRAITS[algorithm]
    except KeyError:
        raise TransferError(
            f"{algorithm!r} has no row of traits; known are {', '.join(ALGORITHMS)}", key="algorithm.name"
        ) from None


def names_with(fits: Callable[[Traits], bool]) -> tuple[str, ...]:
    """The algorithms whose rows fit, in the table's order; for messages that say what works.

    Args:
        fits: says so of a row.

    Returns:
        Their names, in SB3's spelling.
    """
    return tuple(name for name, traits in TRAITS.items() if fits(traits))
