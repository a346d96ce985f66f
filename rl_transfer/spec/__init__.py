"""The experiment as data: typed, frozen config objects and their strict loading."""

from rl_transfer.spec.algorithms import Algorithm, LinearSchedule, Normalization, PolicyConfig, PPOConfig
from rl_transfer.spec.analysis import Analysis
from rl_transfer.spec.base import Frozen, JsonObject, digest
from rl_transfer.spec.load import Loaded, load, load_plain, parse, validate
from rl_transfer.spec.matrix import MatrixConfig
from rl_transfer.spec.rl import Environment, Evaluation, RLRun, TrainConfig, Training, TransferConfig
from rl_transfer.spec.rl_suite import RLSuite
from rl_transfer.spec.shipped import CATEGORIES, configs_folder, locate, shipped
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs

__all__ = [
    "CATEGORIES",
    "Algorithm",
    "Analysis",
    "Environment",
    "Evaluation",
    "Frozen",
    "JsonObject",
    "LinearSchedule",
    "Loaded",
    "MatrixConfig",
    "Normalization",
    "PPOConfig",
    "PolicyConfig",
    "RLRun",
    "RLSuite",
    "StrategyConfig",
    "StrategyVerbs",
    "TrainConfig",
    "Training",
    "TransferConfig",
    "configs_folder",
    "digest",
    "load",
    "load_plain",
    "locate",
    "parse",
    "shipped",
    "validate",
]
