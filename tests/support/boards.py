"""``rl-transfer board`` as a process of its own, for as long as a test looks at it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(sys.executable).with_name("rl-transfer")


@contextmanager
def board(*words: str) -> Iterator[str]:
    """The address that ``board`` with these words prints; it ends in peace when it is no longer needed."""
    command = [str(SCRIPT), "board", *words, "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line[line.index("http") :].strip()
        finally:
            process.terminate()
        assert process.wait() == 0
