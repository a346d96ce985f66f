"""Perturbed Gymnasium environments, usable without rl_transfer.

    import rl_transfer_envs
    env = rl_transfer_envs.make({"id": "CartPole-v1", "perturb": [{"length": "x3"}]})

or, through Gymnasium, ``gymnasium.make("rl_transfer_envs:CartPoleLongPole-v1")``.
"""

from rl_transfer_envs.build.builtin import load
from rl_transfer_envs.build.ids import register_ids
from rl_transfer_envs.build.make import make, spec_of
from rl_transfer_envs.build.specification import canonical
from rl_transfer_envs.check.effect import EffectReport, check_effect
from rl_transfer_envs.check.play import Divergence
from rl_transfer_envs.errors import (
    DuplicateRegistrationError,
    EnvError,
    IncompatiblePerturbationError,
    InertPerturbationError,
    InvalidSpecError,
    InvalidValueError,
    IrreproducibleError,
    MissingExtraError,
    NonFiniteError,
    OutOfBoundsError,
    OutsideSpaceError,
    PerturbedAfterConstructionError,
    UnknownEnvironmentError,
    UnknownParameterError,
)
from rl_transfer_envs.registry.observations import observation_names, register_observation_names
from rl_transfer_envs.registry.parameters import (
    Parameter,
    attribute_parameter,
    environments,
    parameters,
    register_parameter,
)
from rl_transfer_envs.registry.perturbations import Perturbation, perturbations, register_perturbation
from rl_transfer_envs.registry.probes import register_probe
from rl_transfer_envs.show.catalogue import counts, list_rows, show_rows, wrapper_rows
from rl_transfer_envs.values.quantity import Quantity

load()
register_ids()

__all__ = [
    "Divergence",
    "DuplicateRegistrationError",
    "EffectReport",
    "EnvError",
    "IncompatiblePerturbationError",
    "InertPerturbationError",
    "InvalidSpecError",
    "InvalidValueError",
    "IrreproducibleError",
    "MissingExtraError",
    "NonFiniteError",
    "OutOfBoundsError",
    "OutsideSpaceError",
    "Parameter",
    "Perturbation",
    "PerturbedAfterConstructionError",
    "Quantity",
    "UnknownEnvironmentError",
    "UnknownParameterError",
    "attribute_parameter",
    "canonical",
    "check_effect",
    "counts",
    "environments",
    "list_rows",
    "make",
    "observation_names",
    "parameters",
    "perturbations",
    "register_observation_names",
    "register_parameter",
    "register_perturbation",
    "register_probe",
    "show_rows",
    "spec_of",
    "wrapper_rows",
]
