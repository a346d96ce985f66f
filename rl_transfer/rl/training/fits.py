"""What the compiled engine does not know yet: one table, each row with its reason for people.

A row is removed when the engine learns what it speaks of. The table reads configs and spaces alone, so that
an engine can be chosen before anything is built; the preflight looks at the built models once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from rl_transfer.rl.environments.spaces import Space, in_short
from rl_transfer.rl.policies.traits import names_with, traits_of
from rl_transfer.spec import Algorithm, RLRun, StrategyVerbs
from rl_transfer.wording import in_words


@dataclass(frozen=True)
class Unknown:
    """Something that keeps a run on Stable-Baselines3, and with it every run on its target.

    Attributes:
        key: of the algorithm's config or the strategy's.
        found: whether a run has it.
        why: a clause for people.
    """

    key: str
    found: Callable[[Algorithm, StrategyVerbs], bool]
    why: str


_COMPILED = in_words(names_with(lambda traits: bool(traits.compiled)))
UNKNOWN = (
    Unknown("name", lambda algorithm, _: not traits_of(algorithm.name).compiled, f"{_COMPILED} are compiled"),
    Unknown("policy", lambda algorithm, _: algorithm.policy != "MlpPolicy", "only MlpPolicy is compiled"),
    Unknown(
        "features_extractor",
        lambda algorithm, _: algorithm.policy_kwargs.features_extractor is not None,
        "a features extractor of one's own is a torch module",
    ),
    Unknown(
        "use_sde",
        lambda algorithm, _: bool(getattr(algorithm, "use_sde", False)),
        "state-dependent exploration is not compiled",
    ),
    Unknown("hooks", lambda _, verbs: bool(verbs.hooks), "a hook is Python inside SB3's own loops"),
    Unknown("progressive", lambda _, verbs: verbs.progressive, "lateral layers are not compiled"),
    Unknown("low_rank", lambda _, verbs: verbs.low_rank is not None, "adapters are not compiled"),
    Unknown("guide", lambda _, verbs: verbs.guide is not None, "a guide acts inside SB3's own collection"),
    Unknown(
        "kickstart", lambda _, verbs: verbs.kickstart is not None, "the teacher's loss term is not compiled"
    ),
    Unknown(
        "match", lambda _, verbs: verbs.match is not None, "the gap between source and target is not compiled"
    ),
)
_OBSERVATIONS = (spaces.Box, spaces.Discrete)
_ACTIONS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete)


def misfit(run: RLRun, observation: Space | None, action: Space | None) -> str | None:
    """Why a run does not fit the compiled engine.

    Args:
        run: trained.
        observation: space of its environment; None: not known, and not judged.
        action: likewise.

    Returns:
        The key and a clause for people, of what comes first in the table; None if the run fits.
    """
    if run.algorithm is None or run.strategy is None:
        return None
    for each in UNKNOWN:
        if each.found(run.algorithm, run.strategy):
            return f"{each.key}: {each.why}"
    if isinstance(observation, spaces.Box) and is_image_space(observation):
        return "its environment observes images; vectors are compiled"
    for verb, space, known in (("observes", observation, _OBSERVATIONS), ("acts in", action, _ACTIONS)):
        if space is not None and not isinstance(space, known):
            names = in_words([kind.__name__ for kind in known])
            return f"its environment {verb} {in_short(space)}; {names} are compiled"
    return None
