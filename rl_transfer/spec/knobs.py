"""What a strategy's knobs make of an algorithm config, and which of them a control shares."""

from __future__ import annotations

from rl_transfer.spec.algorithms import Algorithm
from rl_transfer.spec.base import Json
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs

_NUMBERS = {"learning_starts": "learning_starts", "exploration_initial": "exploration_initial_eps"}
"""Knob → the field of an algorithm config that it sets."""


def transfer_algorithm(algorithm: Algorithm, strategy: StrategyVerbs) -> Algorithm:
    """The algorithm config as a transfer with a copied policy needs it.

    Copied policies act from the first step (``learning_starts`` 0) and explore as much as the
    source did at its end (initial epsilon = final epsilon), unless the knobs say otherwise.

    Args:
        algorithm: as the user's config has it.
        strategy: the verbs, knobs included.

    Returns:
        The config with ``learning_starts`` and ``exploration_initial_eps`` set.
    """
    knobs, copied = strategy.knobs, strategy.copies
    changes: dict[str, float] = {}
    if hasattr(algorithm, "learning_starts") and (copied or knobs.learning_starts is not None):
        changes["learning_starts"] = knobs.learning_starts or 0
    final = getattr(algorithm, "exploration_final_eps", None)
    if final is not None and (copied or knobs.exploration_initial is not None):
        initial = knobs.exploration_initial
        changes["exploration_initial_eps"] = final if initial is None else initial
    changed: Algorithm = algorithm.model_copy(update=changes)
    return changed


def replaced_values(algorithm: Algorithm, strategy: StrategyVerbs) -> dict[str, Json]:
    """What the algorithm config says where the knobs of a strategy say otherwise.

    Args:
        algorithm: as the user's config has it.
        strategy: the verbs, knobs included.

    Returns:
        Field of the algorithm config → its value there; empty where nothing is replaced.
    """
    used = transfer_algorithm(algorithm, strategy)
    fields = [field for field in _NUMBERS.values() if hasattr(algorithm, field)]
    pairs = {field: (getattr(algorithm, field), getattr(used, field)) for field in fields}
    return {field: own for field, (own, taken) in pairs.items() if own != taken}


def shared_knobs(control: StrategyConfig, controlled: StrategyConfig, algorithm: Algorithm) -> StrategyConfig:
    """A control with the knobs of the strategy that it controls; else it would measure exploration.

    What the control says itself is kept. Where nothing differs, it comes back as it is.

    Args:
        control: copies nothing, or copies with something changed on purpose.
        controlled: the strategy whose gain it checks.
        algorithm: of the target.

    Returns:
        The control with ``knobs``, ``normalization``, ``as_copied`` and, for the statistics of observations,
        ``input_maps`` set where they matter to the algorithm.
    """
    said = control.knobs.model_fields_set if "knobs" in control.model_fields_set else set()
    changes: dict[str, Json] = {}
    found = control
    if _takes_from_source(controlled, algorithm) and not control.copies:
        found = control.model_copy(update={"as_copied": True})
    theirs, mine = transfer_algorithm(algorithm, controlled), transfer_algorithm(algorithm, found)
    for knob, field in _NUMBERS.items():
        value = getattr(theirs, field, None)
        if knob not in said and value != getattr(mine, field, None):
            changes[knob] = value
    for knob in _matters(control, algorithm):
        value = _knob(controlled, knob)
        if knob not in said and value != _knob(found, knob):
            changes[knob] = value
    if changes:
        found = found.model_copy(update={"knobs": control.knobs.model_copy(update=changes)})
    own = "normalization" in control.model_fields_set
    if algorithm.normalize is not None and found.copies and not own:
        found = found.model_copy(update={"normalization": _normalization(controlled)})
    statistics = algorithm.normalize is not None and found.as_copied and found.normalization != "fresh"
    if statistics and controlled.input_maps and not (found.copy_ or found.input_maps):
        found = found.model_copy(update={"input_maps": controlled.input_maps})
    return found


def _knob(strategy: StrategyVerbs, name: str) -> Json:
    """What a knob comes to; an entropy coefficient is kept only with a copy."""
    value: Json = getattr(strategy.knobs, name)
    return "reset" if name == "entropy" and value == "keep" and not strategy.copies else value


def _matters(control: StrategyConfig, algorithm: Algorithm) -> list[str]:
    """The knobs beside numbers that change a run of the control."""
    found = ["target_networks"] if hasattr(algorithm, "learning_starts") else []
    if control.copies:
        found.append("log_std")
    if _learns_entropy(algorithm):
        found.append("entropy")
    return found


def _takes_from_source(strategy: StrategyVerbs, algorithm: Algorithm) -> bool:
    """Whether a strategy takes an entropy coefficient or statistics from the source, beside weights."""
    entropy = strategy.copies and strategy.knobs.entropy == "keep" and _learns_entropy(algorithm)
    return entropy or (algorithm.normalize is not None and _normalization(strategy) != "fresh")


def _normalization(strategy: StrategyVerbs) -> str:
    """What becomes of the source's statistics under a strategy; without a copy or a teacher, nothing."""
    return strategy.normalization if strategy.copies or strategy.kickstart is not None else "fresh"


def _learns_entropy(algorithm: Algorithm) -> bool:
    return getattr(algorithm, "ent_coef", None) == "auto"
