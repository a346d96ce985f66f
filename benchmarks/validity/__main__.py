"""Run every simulation that the docs name, with its options there, and say what each took.

python -m benchmarks.validity
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands() -> Iterator[list[str]]:
    """Module and options of each command of this package in a block of a page of docs/."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                words = line.partition("#")[0].split()
                if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks.validity."):
                    yield words[2:]


def main() -> None:
    """Run them one after the other; one whose folder of results is not there is left out."""
    for words in commands():
        print(f"\n$ python -m {' '.join(words)}", flush=True)
        folder = words[words.index("--folder") + 1] if "--folder" in words else "."
        if not (ROOT / folder).is_dir():
            print(f"left out: there is no {folder}; `rl-transfer sweep quickstart` makes it")
            continue
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        print(f"{spent:,.0f} s of CPU in {time.monotonic() - begun:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
