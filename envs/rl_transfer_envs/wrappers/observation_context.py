"""The parameters of the physics as observations: an agent that is told which environment it is in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Array, Floats
from rl_transfer_envs.errors import did_you_mean
from rl_transfer_envs.registry.parameters import Parameter, parameters
from rl_transfer_envs.registry.perturbations import register_perturbation
from rl_transfer_envs.registry.wrapping import layers
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.wrappers.observation import ObservationPerturbation
from rl_transfer_envs.wrappers.physics import Physics


@register_perturbation
class ObservationContext(ObservationPerturbation):
    """Appends the present values of physics parameters, scaled by their bounds.

    A value v is shown as ``2 (v − low)/(high − low) − 1``. The scale is the parameter's own and not
    that of a distribution, so it is the same on a source whose parameters are drawn and on a target
    whose parameters are fixed. A parameter by element (body, joint) gives one reading per element.
    What lies outside the bounds (by constructor arguments) is clipped.
    """

    name = "observation_context"
    summary = "append the values of physics parameters, scaled to −1 … 1"
    examples = (["gravity"],)
    arguments = (
        Quantity(
            name="parameters",
            unit="1",
            default=[],
            bounds=None,
            source="hide_context=False of CARL: Benjamins et al. 2023, Contextualize me",
            summary="names of the parameters",
            kind="names",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Find the parameters and append a reading in −1 … 1 for each, or for each of its elements."""
        space = self.vector_box()
        self._shown = [self._known(name) for name in self.value("parameters")]
        self._physics = next((layer for layer in layers(self.env) if isinstance(layer, Physics)), None)
        self._own = {parameter.name: self._unperturbed(parameter) for parameter in self._shown}
        self._labels: list[str] = []
        for name, own in self._own.items():
            self._labels += [f"{name}.{element}" for element in own] if isinstance(own, Mapping) else [name]
        ones = np.ones(len(self._labels), dtype=space.dtype)
        self.observation_space = spaces.Box(
            np.concatenate([space.low, -ones]), np.concatenate([space.high, ones]), dtype=space.dtype.type
        )

    def renamed(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names of the readings, and of the parameters after them.

        Args:
            names: as they reach this wrapper.
        """
        return (*names, *self._labels)

    def observation(self, observation: Array) -> Array:
        """The observation followed by the context."""
        return np.concatenate([observation, self._context()]).astype(observation.dtype)

    def _context(self) -> Floats:
        readings: list[float] = []
        for parameter in self._shown:
            low, high = parameter.factors or parameter.bounds or (0.0, 1.0)
            level = self._physics.level(parameter.name) if self._physics else None
            own = self._own[parameter.name]
            if isinstance(own, Mapping):
                present = [*{**own, **(level if isinstance(level, Mapping) else {})}.values()]
            else:
                present = [own if level is None else level]
            readings += (2 * (np.array(present, dtype=np.float64) - low) / (high - low) - 1).tolist()
        return np.clip(np.array(readings, dtype=np.float64), -1.0, 1.0)

    def _known(self, name: str) -> Parameter:
        spec = self.env.unwrapped.spec
        known = parameters(spec.id) if spec is not None else {}
        if name not in known:
            raise self.refuse(
                f"it has no physics parameter {name!r}, but {', '.join(known)}.{did_you_mean(name, known)}",
                "parameters",
            )
        if not (known[name].factors or known[name].bounds):
            raise self.refuse(f"{name} has no bounds to scale it by.", "parameters")
        return known[name]

    def _unperturbed(self, parameter: Parameter) -> object:
        """The environment's own value; that of an equation's literal is the registered one."""
        try:
            own = parameter.get(self.env.unwrapped)
        except AttributeError:
            return parameter.default
        if parameter.keyed and parameter.factors:
            return dict.fromkeys(own, 1.0)
        return own
