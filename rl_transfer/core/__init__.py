"""The transfer core: parts, plans, freezing, digests and bundles, on any ``torch.nn.Module``."""

from rl_transfer.core.alignment import (
    AlignmentMap,
    fit_frobenius,
    fit_ridge,
    frobenius,
    largest_penalty,
    leave_one_out,
    ridge,
)
from rl_transfer.core.anchors import EWC, L2SP, Anchor, fisher_diagonal
from rl_transfer.core.bundle import (
    Bundle,
    StoredBundle,
    described_bundle,
    load_bundle,
    open_bundle,
    save_bundle,
    verify_bundle,
)
from rl_transfer.core.digest import digest_model, digest_tensors, tensors_of
from rl_transfer.core.distillation import AnnealedCoefficient, categorical_kl, gaussian_kl
from rl_transfer.core.freeze import FrozenParts, freeze
from rl_transfer.core.inventory import inventory, inventory_table
from rl_transfer.core.lowrank import LowRankAdapters, add_low_rank
from rl_transfer.core.names import rename_tensors
from rl_transfer.core.pairing import PairingCheck, check_pairing, doubts
from rl_transfer.core.parts import Layer, Part, PartMap, PartRule, Role, TensorInfo, count_parameters
from rl_transfer.core.perturb_weights import shrunk_and_perturbed, shuffled
from rl_transfer.core.progressive import ProgressiveTrunk
from rl_transfer.core.randomness import isolated
from rl_transfer.core.rates import PartLearningRates, learning_rates_by_part
from rl_transfer.core.schedule import ThawSchedule, critic_warmup, gradual_unfreezing
from rl_transfer.core.strategy import Strategy, ThawStep
from rl_transfer.core.structured_maps import (
    canonical_correlations,
    fit_cca,
    fit_coral,
    fit_low_rank,
    fit_procrustes,
)
from rl_transfer.core.transfer import PlanRow, TransferPlan, apply, plan

__all__ = [
    "EWC",
    "L2SP",
    "AlignmentMap",
    "Anchor",
    "AnnealedCoefficient",
    "Bundle",
    "FrozenParts",
    "Layer",
    "LowRankAdapters",
    "PairingCheck",
    "Part",
    "PartLearningRates",
    "PartMap",
    "PartRule",
    "PlanRow",
    "ProgressiveTrunk",
    "Role",
    "StoredBundle",
    "Strategy",
    "TensorInfo",
    "ThawSchedule",
    "ThawStep",
    "TransferPlan",
    "add_low_rank",
    "apply",
    "canonical_correlations",
    "categorical_kl",
    "check_pairing",
    "count_parameters",
    "critic_warmup",
    "described_bundle",
    "digest_model",
    "digest_tensors",
    "doubts",
    "fisher_diagonal",
    "fit_cca",
    "fit_coral",
    "fit_frobenius",
    "fit_low_rank",
    "fit_procrustes",
    "fit_ridge",
    "freeze",
    "frobenius",
    "gaussian_kl",
    "gradual_unfreezing",
    "inventory",
    "inventory_table",
    "isolated",
    "largest_penalty",
    "learning_rates_by_part",
    "leave_one_out",
    "load_bundle",
    "open_bundle",
    "plan",
    "rename_tensors",
    "ridge",
    "save_bundle",
    "shrunk_and_perturbed",
    "shuffled",
    "tensors_of",
    "verify_bundle",
]
