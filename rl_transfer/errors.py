"""The exception tree, and the exit code that the command line gives each branch.

    RLTransferError            1
    ├── ConfigError            3   a config file or override is wrong
    ├── EnvironmentSpecError   4   an environment or perturbation cannot be built
    ├── TransferError          5   a plan, part, freeze or strategy is impossible
    │   ├── FrozenTensorMoved  5   a tensor that was declared frozen changed
    │   ├── DataNotAtHand      5   the data of a classifier are gone or changed
    │   ├── ClassesDiffer      5   a classifier cannot name the classes of data
    │   └── NothingUnseen      5   a classifier was trained on all of the data
    ├── BundleError            6   a policy bundle is missing, altered or foreign
    ├── StoreError             7   a results folder cannot be read or written
    ├── MissingExtraError      9   an optional dependency is not installed
    ├── ClusterError          10   a cluster cannot be reached, or its nodes do not fit
    ├── SweepFailed            8   a sweep ended with failed runs
    └── Interrupted          130   a person stopped a sweep

Ctrl-C ends with 130, wrong command-line usage with 2, and what the operating system refuses (a full
disk, no memory) with 1. ``compare`` ends with 11 where two sweeps differ, which is no error.
"""

from __future__ import annotations

DIFFERENT = 11
"""Exit code of ``compare`` where a figure differs significantly, or a cell cannot be compared."""


class RLTransferError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        message: what was given, what was expected, what to do.
        key: dotted path of the config key that the value came from, if any
            (``"targets.longer-pole.env.perturb.0"``); the command line joins it
            with the file's key → line map.
    """

    exit_code = 1

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.key = key


class ConfigError(RLTransferError):
    """A config file or a command-line override is wrong."""

    exit_code = 3


class EnvironmentSpecError(RLTransferError):
    """An environment, or a perturbation of it, cannot be built or has no effect."""

    exit_code = 4


class TransferError(RLTransferError):
    """A transfer plan, a part name, a freeze or a strategy is impossible."""

    exit_code = 5


class FrozenTensorMoved(TransferError):
    """A tensor that was declared frozen changed during training."""


class DataNotAtHand(TransferError):
    """The data that a classifier was trained on are gone or changed."""


class ClassesDiffer(TransferError):
    """A classifier cannot name the classes of the data that it is to be measured on."""


class NothingUnseen(TransferError):
    """A classifier, or its source, was trained on all of the data that it is to be measured on."""


class BundleError(RLTransferError):
    """A policy bundle is missing, truncated, altered or foreign."""

    exit_code = 6


class StoreError(RLTransferError):
    """A results folder cannot be read or written."""

    exit_code = 7


class SweepFailed(RLTransferError):
    """A sweep ended with failed runs; everything finished is kept."""

    exit_code = 8


class Interrupted(RLTransferError):
    """A person stopped a sweep; the message says how it goes on."""

    exit_code = 130


class MissingExtraError(RLTransferError):
    """An optional dependency is not installed; the message says how to install it."""

    exit_code = 9


class ClusterError(RLTransferError):
    """A cluster cannot be reached, or its nodes do not fit together."""

    exit_code = 10
