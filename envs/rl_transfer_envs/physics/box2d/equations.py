"""Gymnasium's Box2D environments with their module constants and literals turned into attributes.

Gymnasium keeps engine powers, torques and shapes as constants of the module; writing to them
would reach every environment of the process. Here each instance plays Gymnasium's own methods
against constants of its own (:func:`with_constants`), so there is no second copy of the
equations, nothing leaks, and at default values everything is equal bit for bit (tests/envs
proves it). Imported only when one of these environments is built, for it needs Box2D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, TypeVar

import Box2D
from Box2D.b2 import fixtureDef, polygonShape
from gymnasium.envs.box2d import bipedal_walker, lunar_lander

from rl_transfer_envs.aliases import Action, Array, Options, Start, Transition

T = TypeVar("T")


def with_constants(method: Callable[..., T], constants: Mapping[str, object]) -> Callable[..., T]:
    """A copy of the function ``method`` that sees ``constants`` in place of its module's own.

    Args:
        method: a function of Gymnasium's module.
        constants: name of a global → what it is instead.

    Returns:
        The copy; ``method`` and its module stay as they are.
    """
    assert isinstance(method, FunctionType)
    copy = FunctionType(
        method.__code__,
        {**method.__globals__, **constants},
        method.__name__,
        method.__defaults__,
        method.__closure__,
    )
    copy.__kwdefaults__ = method.__kwdefaults__
    return copy


class LunarLander(lunar_lander.LunarLander):
    """LunarLander whose engines, masses, contacts, drag and time step are attributes.

    An engine's push is an impulse per step in Gymnasium; it is scaled with ``timestep``, so the
    thrust (a force) stays what it is. Observations keep Gymnasium's scaling of velocities.
    """

    main_engine_power = lunar_lander.MAIN_ENGINE_POWER
    side_engine_power = lunar_lander.SIDE_ENGINE_POWER
    initial_force = lunar_lander.INITIAL_RANDOM
    leg_spring_torque = lunar_lander.LEG_SPRING_TORQUE
    lander_density = 5.0
    leg_density = 1.0
    friction = 0.1
    restitution = 0.0
    linear_damping = 0.0
    angular_damping = 0.0
    timestep = 1.0 / lunar_lander.FPS

    _play = staticmethod(lunar_lander.LunarLander.step)
    _prepared = True

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Gymnasium's reset, which plays one step, against this instance's constants."""
        time_ratio = self.timestep * lunar_lander.FPS
        constants = {
            "MAIN_ENGINE_POWER": self.main_engine_power * time_ratio,
            "SIDE_ENGINE_POWER": self.side_engine_power * time_ratio,
            "INITIAL_RANDOM": self.initial_force,
            "LEG_SPRING_TORQUE": self.leg_spring_torque,
        }
        self._play = with_constants(lunar_lander.LunarLander.step, constants)
        self._prepared = False
        begin = with_constants(lunar_lander.LunarLander.reset, constants)
        result: Start = begin(self, seed=seed, options=options)
        return result

    def step(self, action: Action) -> Any:
        """Gymnasium's step; before an episode's first one the new bodies get their properties."""
        if not self._prepared:
            self._prepared = True
            self._prepare()
        return self._play(self, action)

    def _prepare(self) -> None:
        self.world.Step = self._advance
        friction_ratio = self.friction / type(self).friction
        for body, density in (
            (self.lander, self.lander_density),
            *((leg, self.leg_density) for leg in self.legs),
        ):
            for fixture in body.fixtures:
                fixture.density = density
                fixture.restitution = self.restitution
            body.ResetMassData()
            body.linearDamping = self.linear_damping
            body.angularDamping = self.angular_damping
        if friction_ratio != 1.0:
            for body in (self.moon, self.lander, *self.legs):
                for fixture in body.fixtures:
                    fixture.friction *= friction_ratio

    def _advance(self, _timestep: float, velocity_iterations: int, position_iterations: int) -> None:
        Box2D.b2World.Step(self.world, self.timestep, velocity_iterations, position_iterations)


class BipedalWalker(bipedal_walker.BipedalWalker):
    """BipedalWalker whose gravity, motors, body, ground and time step are attributes.

    ``motor_torque`` scales the motors alone: the reward keeps charging for the torque of the
    unperturbed motors (Gymnasium's constant is in both). Observations keep Gymnasium's scaling.

    Args:
        arguments: Gymnasium's.
        keywords: Gymnasium's.
    """

    gravity = 10.0
    motor_torque = float(bipedal_walker.MOTORS_TORQUE)
    hip_speed = float(bipedal_walker.SPEED_HIP)
    knee_speed = float(bipedal_walker.SPEED_KNEE)
    hull_density = 5.0
    leg_density = 1.0
    leg_length = bipedal_walker.LEG_H
    friction = bipedal_walker.FRICTION
    roughness = 1.0
    wind = 0.0
    linear_damping = 0.0
    initial_force = bipedal_walker.INITIAL_RANDOM
    timestep = 1.0 / bipedal_walker.FPS

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.world.Step = self._advance

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Gymnasium's reset against this instance's constants."""
        self.world.gravity = (0.0, -self.gravity)
        self.fd_polygon.friction = self.fd_edge.friction = self.friction
        constants = {"INITIAL_RANDOM": self.initial_force, "LEG_H": self.leg_length, **self._shapes()}
        begin = with_constants(bipedal_walker.BipedalWalker.reset, constants)
        result: Start = begin(self, seed=seed, options=options)
        return result

    def step(self, action: Array) -> Transition:
        """Gymnasium's step; the reward, a NumPy number there, is a float, as checkers demand."""
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, float(reward), terminated, truncated, info

    def _shapes(self) -> dict[str, Any]:
        """Gymnasium's shapes of hull, thigh and shank, with this instance's size, density, friction."""
        width, half = bipedal_walker.LEG_W, self.leg_length / 2
        friction_ratio = self.friction / type(self).friction
        common = {"restitution": 0.0, "categoryBits": 0x0020, "maskBits": 0x001}
        leg = {"density": self.leg_density, "friction": 0.2 * friction_ratio, **common}
        return {
            "HULL_FD": fixtureDef(
                shape=polygonShape(
                    vertices=[
                        (x / bipedal_walker.SCALE, y / bipedal_walker.SCALE)
                        for x, y in bipedal_walker.HULL_POLY
                    ]
                ),
                density=self.hull_density,
                friction=0.1 * friction_ratio,
                **common,
            ),
            "LEG_FD": fixtureDef(shape=polygonShape(box=(width / 2, half)), **leg),
            "LOWER_FD": fixtureDef(shape=polygonShape(box=(0.8 * width / 2, half)), **leg),
        }

    def _generate_terrain(self, hardcore: bool) -> None:
        """Gymnasium's terrain; the bumps are its only use of ``SCALE``, and inverse to it."""
        scale = bipedal_walker.SCALE / self.roughness if self.roughness else math.inf
        with_constants(bipedal_walker.BipedalWalker._generate_terrain, {"SCALE": scale})(self, hardcore)

    def _advance(self, _timestep: float, velocity_iterations: int, position_iterations: int) -> None:
        """Rescale what Gymnasium's step has just told the motors, push, and simulate."""
        kind = type(self)
        torque = self.motor_torque / kind.motor_torque
        speeds = self.hip_speed / kind.hip_speed, self.knee_speed / kind.knee_speed
        for i, joint in enumerate(self.joints):
            joint.maxMotorTorque = joint.GetMaxMotorTorque() * torque
            joint.motorSpeed *= speeds[i % 2]
        hull: Any = self.hull
        for body in (hull, *self.legs):
            body.linearDamping = self.linear_damping
        if self.wind:
            hull.ApplyForceToCenter((self.wind, 0.0), True)
        Box2D.b2World.Step(self.world, self.timestep, velocity_iterations, position_iterations)
