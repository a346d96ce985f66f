"""What a process has that one run could leave behind for the next."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Mapping

import numpy as np
import torch


class Surroundings:
    """The process as its first run finds it; the garbage collector never looks at what is in it then."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        gc.collect()
        gc.freeze()
        self._python, self._numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - third-party code
        self._torch = torch.get_rng_state()
        self.accept()

    def accept(self) -> None:
        """Take the process as it is now for what a run finds: modules that all runs import have their say."""
        self._threads = {*threading.enumerate()}
        self._settings = _settings()

    def restore(self) -> bool:
        """Make the process as it was, for another run.

        The global random generators are put back, and what the run held in memory is freed. Settings are
        not put back, as nobody knows what else came with them.

        Returns:
            Whether all settings are as they were and no thread is left.
        """
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002 - see above
        torch.set_rng_state(self._torch)
        gc.collect()
        return _settings() == self._settings and {*threading.enumerate()} <= self._threads


def _settings() -> Mapping[str, object]:
    """Everything global that results may depend on, as far as the libraries tell."""
    registration = sys.modules.get("gymnasium.envs.registration")
    return {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)],
        "gymnasium": dict(registration.registry) if registration else None,
        "numpy": np.geterr(),
        "torch": (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_anomaly_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
        ),
    }
