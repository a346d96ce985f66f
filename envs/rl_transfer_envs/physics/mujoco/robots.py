"""Gymnasium's eleven MuJoCo robots (v5): what their models hold, and how far each value may go.

At either end of each range the robot survives the start of an episode and the simulation stays
stable under random and full throttle (tests/envs proves it).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

_EREZ = "Erez, Tassa & Todorov 2011"

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Elements:
    """Range of a parameter by element: one ``default`` for all of them, or ``factors`` of each one's own."""

    bounds: Range
    default: float | None = None
    factors: Range | None = None


@dataclass(frozen=True, kw_only=True)
class Robot:
    """What tells one robot's parameters from another's.

    Attributes:
        env_id: Gymnasium id.
        module: Gymnasium's module, without ``gymnasium/envs/mujoco/``.
        asset: its model file.
        paper: where the robot comes from.
        motors: number of actuators.
        control: largest control signal.
        timestep: of the simulation [s].
        frame_skip: simulation steps per action.
        elements: parameter by element → its range.
        mass: factors on the bodies' masses.
        length, radius: factors on the links' lengths and radii; None where it is not offered.
        length_entry_point: equations that the length needs.
        rigid: bodies whose length is not a link's.
        scenery: bodies that are no part of the robot.
        falls: whether gravity moves it (not in the horizontal plane).
        weightless: whether its world has no gravity at all, so that a slope is none.
        medium: largest density [kg/m^3] and viscosity [Pa s]; None where nothing drags.
        medium_default: density and viscosity of the unperturbed medium.
        wind: largest speed of the medium [m/s].
        spread: initial spread and its bounds; None where it is a literal.
        literals: name, unit, default, bounds and summary of literals of ``reset_model``, which are attributes
            of the class of :mod:`~rl_transfer_envs.physics.mujoco.equations` named after the robot.
    """

    env_id: str
    module: str
    asset: str
    paper: str
    motors: int
    control: float
    timestep: float
    frame_skip: int
    elements: dict[str, Elements] = field(default_factory=dict)
    mass: Range = (0.3, 3.0)
    length: Range | None = None
    radius: Range | None = None
    length_entry_point: str | None = None
    rigid: tuple[str, ...] = ()
    scenery: tuple[str, ...] = ()
    falls: bool = True
    weightless: bool = False
    medium: Range | None = None
    medium_default: Range = (0.0, 0.0)
    wind: float = 20.0
    spread: tuple[float, Range] | None = None
    literals: tuple[tuple[str, str, float, Range, str], ...] = ()


_HUMANOID = Robot(
    env_id="Humanoid-v5",
    module="humanoid_v5.py",
    asset="humanoid.xml",
    paper="Tassa, Erez & Todorov 2012",
    motors=17,
    control=0.4,
    timestep=0.003,
    frame_skip=5,
    elements={
        "joint_damping": Elements(factors=(0.2, 3.0), bounds=(0.0, 15.0)),
        "joint_stiffness": Elements(factors=(0.0, 10.0), bounds=(0.0, 200.0)),
        "joint_friction": Elements(default=0.0, bounds=(0.0, 20.0)),
        "armature": Elements(factors=(0.5, 20.0), bounds=(0.0, 1.0)),
        "gear": Elements(factors=(0.2, 2.0), bounds=(1.0, 1000.0)),
        "friction": Elements(default=1.0, bounds=(0.02, 3.0)),
    },
    length=(0.85, 1.3),
    radius=(0.8, 1.2),
    medium=(100.0, 5.0),
    spread=(0.01, (0.0, 0.1)),
)

ROBOTS = (
    Robot(
        env_id="InvertedPendulum-v5",
        module="inverted_pendulum_v5.py",
        asset="inverted_pendulum.xml",
        paper="Barto, Sutton & Anderson 1983",
        motors=1,
        control=3.0,
        timestep=0.02,
        frame_skip=2,
        elements={
            "joint_damping": Elements(default=1.0, bounds=(0.0, 20.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 100.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 20.0)),
            "armature": Elements(default=0.0, bounds=(0.0, 5.0)),
            "gear": Elements(default=100.0, bounds=(10.0, 300.0)),
        },
        length=(0.3, 3.0),
        rigid=("cart",),
        medium=(100.0, 5.0),
        spread=(0.01, (0.0, 0.15)),
    ),
    Robot(
        env_id="InvertedDoublePendulum-v5",
        module="inverted_double_pendulum_v5.py",
        asset="inverted_double_pendulum.xml",
        paper="Barto, Sutton & Anderson 1983",
        motors=1,
        control=1.0,
        timestep=0.01,
        frame_skip=5,
        elements={
            "joint_damping": Elements(default=0.05, bounds=(0.0, 5.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 100.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 20.0)),
            "armature": Elements(default=0.0, bounds=(0.0, 5.0)),
            "gear": Elements(default=500.0, bounds=(50.0, 1000.0)),
        },
        length=(0.5, 2.0),
        length_entry_point="rl_transfer_envs.physics.mujoco.equations:InvertedDoublePendulum",
        rigid=("cart",),
        medium=(100.0, 5.0),
        spread=(0.1, (0.0, 0.3)),
    ),
    Robot(
        env_id="Reacher-v5",
        module="reacher_v5.py",
        asset="reacher.xml",
        paper="Gymnasium's own two-link arm",
        motors=2,
        control=1.0,
        timestep=0.01,
        frame_skip=2,
        elements={
            "joint_damping": Elements(default=1.0, bounds=(0.0, 20.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 50.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 50.0)),
            "armature": Elements(default=1.0, bounds=(0.1, 10.0)),
            "gear": Elements(default=200.0, bounds=(20.0, 400.0)),
        },
        mass=(0.1, 1000.0),
        length=(0.5, 1.5),
        scenery=("target",),
        falls=False,
        literals=(
            ("initial_spread", "rad", 0.1, (0.0, 1.0), "joint angles start in ± this value"),
            (
                "target_radius",
                "m",
                0.2,
                (0.05, 0.25),
                "targets lie in a disc of this radius around the shoulder",
            ),
        ),
    ),
    Robot(
        env_id="Pusher-v5",
        module="pusher_v5.py",
        asset="pusher_v5.xml",
        paper="Gymnasium's own seven-joint arm",
        motors=7,
        control=2.0,
        timestep=0.01,
        frame_skip=5,
        elements={
            "joint_damping": Elements(factors=(0.2, 10.0), bounds=(0.0, 20.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 5.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 2.0)),
            "armature": Elements(default=0.04, bounds=(0.01, 0.4)),
            "gear": Elements(default=1.0, bounds=(0.2, 3.0)),
        },
        length=(0.8, 1.2),
        rigid=("r_shoulder_pan_link",),
        scenery=("object", "goal"),
        falls=False,
        weightless=True,
    ),
    Robot(
        env_id="Swimmer-v5",
        module="swimmer_v5.py",
        asset="swimmer.xml",
        paper="Coulom 2002",
        motors=2,
        control=1.0,
        timestep=0.01,
        frame_skip=4,
        elements={
            "joint_damping": Elements(default=0.0, bounds=(0.0, 50.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 200.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 50.0)),
            "armature": Elements(default=0.1, bounds=(0.0, 10.0)),
            "gear": Elements(default=150.0, bounds=(30.0, 300.0)),
        },
        length=(0.5, 2.0),
        falls=False,
        medium=(8000.0, 10.0),
        medium_default=(4000.0, 0.1),
        wind=1.0,
        spread=(0.1, (0.0, 0.5)),
    ),
    Robot(
        env_id="Hopper-v5",
        module="hopper_v5.py",
        asset="hopper.xml",
        paper=_EREZ,
        motors=3,
        control=1.0,
        timestep=0.002,
        frame_skip=4,
        elements={
            "joint_damping": Elements(default=1.0, bounds=(0.0, 50.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 200.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 50.0)),
            "armature": Elements(default=1.0, bounds=(0.1, 5.0)),
            "gear": Elements(default=200.0, bounds=(40.0, 400.0)),
            "friction": Elements(factors=(0.05, 2.0), bounds=(0.01, 5.0)),
        },
        length=(0.75, 1.5),
        radius=(0.5, 1.5),
        medium=(100.0, 5.0),
        spread=(0.005, (0.0, 0.1)),
    ),
    Robot(
        env_id="HalfCheetah-v5",
        module="half_cheetah_v5.py",
        asset="half_cheetah.xml",
        paper="Wawrzyński 2009",
        motors=6,
        control=1.0,
        timestep=0.01,
        frame_skip=5,
        elements={
            "joint_damping": Elements(factors=(0.2, 5.0), bounds=(0.0, 50.0)),
            "joint_stiffness": Elements(factors=(0.0, 4.0), bounds=(0.0, 1000.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 30.0)),
            "armature": Elements(default=0.1, bounds=(0.02, 1.0)),
            "gear": Elements(factors=(0.2, 2.0), bounds=(1.0, 300.0)),
            "friction": Elements(default=0.4, bounds=(0.02, 2.0)),
        },
        length=(0.75, 1.4),
        radius=(0.5, 1.5),
        medium=(100.0, 5.0),
        spread=(0.1, (0.0, 0.5)),
    ),
    Robot(
        env_id="Walker2d-v5",
        module="walker2d_v5.py",
        asset="walker2d_v5.xml",
        paper=_EREZ,
        motors=6,
        control=1.0,
        timestep=0.002,
        frame_skip=4,
        elements={
            "joint_damping": Elements(default=0.1, bounds=(0.0, 10.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 100.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 30.0)),
            "armature": Elements(default=0.01, bounds=(0.0, 1.0)),
            "gear": Elements(default=100.0, bounds=(20.0, 200.0)),
            "friction": Elements(factors=(0.05, 2.0), bounds=(0.01, 5.0)),
        },
        length=(0.8, 1.4),
        radius=(0.5, 1.5),
        medium=(100.0, 5.0),
        spread=(0.005, (0.0, 0.2)),
    ),
    Robot(
        env_id="Ant-v5",
        module="ant_v5.py",
        asset="ant.xml",
        paper="Schulman et al. 2016",
        motors=8,
        control=1.0,
        timestep=0.01,
        frame_skip=5,
        elements={
            "joint_damping": Elements(default=1.0, bounds=(0.0, 30.0)),
            "joint_stiffness": Elements(default=0.0, bounds=(0.0, 100.0)),
            "joint_friction": Elements(default=0.0, bounds=(0.0, 50.0)),
            "armature": Elements(default=1.0, bounds=(0.3, 5.0)),
            "gear": Elements(default=150.0, bounds=(30.0, 300.0)),
            "friction": Elements(default=1.0, bounds=(0.02, 3.0)),
        },
        length=(0.6, 1.6),
        radius=(0.5, 1.5),
        medium=(10.0, 1.0),
        wind=8.0,
        spread=(0.1, (0.0, 0.2)),
    ),
    _HUMANOID,
    replace(
        _HUMANOID,
        env_id="HumanoidStandup-v5",
        module="humanoidstandup_v5.py",
        asset="humanoidstandup.xml",
    ),
)
