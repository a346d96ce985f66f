"""The exception tree of rl_transfer_envs.

EnvError(ValueError)
├── InvalidSpecError              the specification has the wrong shape or an unknown key
├── UnknownEnvironmentError       no environment of that id is registered
├── UnknownParameterError         the environment has no parameter or perturbation of that name
├── InvalidValueError             a value has the wrong type, is NaN, or has the wrong length
├── OutOfBoundsError              a value lies outside the parameter's bounds
├── IncompatiblePerturbationError the environment cannot carry the perturbation
├── InertPerturbationError        the effect probe found no difference to the base environment
├── IrreproducibleError           an environment differs from itself under the same seed and actions
├── NonFiniteError                the perturbed environment returned NaN or infinity
├── OutsideSpaceError             the perturbed environment's observation left its declared space
├── PerturbedAfterConstructionError  somebody tried to change physics on a finished environment
├── DuplicateRegistrationError    a name is registered already
└── MissingExtraError             an optional dependency is not installed
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class EnvError(ValueError):
    """Base of every error that this package raises on purpose.

    Args:
        message: what was given, what was expected, what to do.
        key: dotted path of the offending key, relative to the specification
            (``"perturb.0.length"``, ``"id"``), or None where there is none.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.key = key


class InvalidSpecError(EnvError):
    """The specification has the wrong shape, an unknown key, or a key twice."""


class UnknownEnvironmentError(EnvError):
    """No environment of that id is registered with Gymnasium."""


class UnknownParameterError(EnvError):
    """The environment has no parameter, and this package no perturbation, of that name."""


class InvalidValueError(EnvError):
    """A value has the wrong type, is not finite, or has the wrong length."""


class OutOfBoundsError(EnvError):
    """A value lies outside the bounds of its parameter."""


class IncompatiblePerturbationError(EnvError):
    """The environment cannot carry the perturbation (its spaces or its kind do not fit)."""


class InertPerturbationError(EnvError):
    """The effect probe found no difference between base and perturbed environment."""


class IrreproducibleError(EnvError):
    """An environment differs from itself under the same seed and actions."""


class NonFiniteError(EnvError):
    """The perturbed environment returned NaN or infinity."""


class OutsideSpaceError(EnvError):
    """The perturbed environment showed an observation outside its declared space."""


class PerturbedAfterConstructionError(EnvError):
    """Physics can only be changed through the specification, before the first reset."""


class DuplicateRegistrationError(EnvError):
    """A parameter or perturbation of that name is registered already."""


class MissingExtraError(EnvError):
    """An optional dependency is not installed; the message says how to install it."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The closest known word, as the end of a message.

    The same hint as ``rl_transfer.wording`` gives, which this package may not import;
    ``tests/test_wording.py`` holds the two together.

    Args:
        word: what was given.
        known: what exists.

    Returns:
        A sentence with a space before it; empty if nothing is close.

    >>> did_you_mean("lenght", ["length", "gravity"])
    " Did you mean 'length'?"
    """
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.5)
    return f" Did you mean {by_folded[close[0]]!r}?" if close else ""


@contextlib.contextmanager
def key_prefix(prefix: str) -> Iterator[None]:
    """Put ``prefix`` before the key of an error that is raised inside, unless it has it.

    Args:
        prefix: dotted path.

    Yields:
        Nothing.
    """
    try:
        yield
    except EnvError as error:
        if error.key is None:
            error.key = prefix
        elif error.key != prefix and not error.key.startswith(f"{prefix}."):
            error.key = f"{prefix}.{error.key}"
        raise
