"""How much memory reading a hostile file takes, in a process of its own.

    python tests/support/bounds.py COUNT KIND PATH [KIND PATH]…

Prints one JSON list per file: the error's class, its message, and by how many MiB the peak of the resident
memory grew. Each file is read in a fork, so that one peak does not hide the next. The first COUNT files are
harmless ones, and are read before anything is measured: what the readers import is no file's cost.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MOST_ADDRESSES = 3 * 2**30
"""Address space that a fork may add: what escapes a bound ends with an error, not with the machine."""


MOST_CPU_SECONDS = 120
"""What never ends is ended, and has no line."""


def _readers() -> dict[str, Callable[[Path], object]]:
    from rl_transfer.core import load_bundle
    from rl_transfer.image.checkpoints import read_checkpoint
    from rl_transfer.rl.policies.bundle import load_policy
    from rl_transfer.rl.sources.load import load_source
    from rl_transfer.rl.sources.tensor_files import read_tensor_file
    from rl_transfer.rl.sources.vec_normalize import read_statistics
    from rl_transfer.spec import Environment

    return {
        "bundle": load_bundle,
        "checkpoint": read_checkpoint,
        "policy": load_policy,
        "source": lambda path: load_source(path, env=Environment(id="Anywhere-v0")),
        "state dict": lambda path: load_source(path, env=Environment(id="Anywhere-v0"), algorithm="PPO"),
        "statistics": read_statistics,
        "tensors": read_tensor_file,
    }


def outcomes(
    attacks: dict[str, tuple[str, Path]], harmless: Sequence[tuple[str, Path]]
) -> dict[str, tuple[str, str, float]]:
    """Read each file in a process of its own.

    Args:
        attacks: name → kind of reader, file or folder.
        harmless: kind of reader, a small file or folder; all are read beforehand.

    Returns:
        Name → class and message of the error, MiB of memory.
    """
    words = [str(word) for pair in (*harmless, *attacks.values()) for word in pair]
    done = subprocess.run(
        [sys.executable, __file__, str(len(harmless)), *words], capture_output=True, text=True, check=False,
        timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(attacks), done.stderr
    return dict(zip(attacks, lines, strict=True))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _read(reader: Callable[[Path], object], path: Path) -> list[Any]:
    before = _peak()
    try:
        reader(path)
    except BaseException as error:  # noqa: BLE001 - whatever comes is reported to the test
        return [type(error).__name__, str(error)[:2000], _peak() - before]
    return ["nothing", "", _peak() - before]


def _main(words: list[str]) -> None:
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    readers, harmless = _readers(), int(words.pop(0))
    files = [(kind, Path(path)) for kind, path in zip(words[::2], words[1::2], strict=True)]
    for kind, path in files[:harmless]:
        readers[kind](path)
    ctypes.CDLL(None).malloc_trim(0)  # what is free here would be used by forks without being seen
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MOST_ADDRESSES
    for kind, path in files[harmless:]:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
            signal.alarm(MOST_CPU_SECONDS)  # a pipe takes no CPU time
            sys.stdout.write(json.dumps(_read(readers[kind], path)) + "\n")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    _main(sys.argv[1:])
