"""Run every simulation that the docs name, with its options there; compare what it prints with their tables.

    python -m benchmarks.validity --jobs 2 --output results/validity

What ran to its end is kept there, by a digest of the code. A table's row counts as found where a page of
docs/ has it, letter for letter.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAITER = "import resource,subprocess,sys;code=subprocess.run(sys.argv[1:]).returncode;"
WAITER += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime,file=sys.stderr);sys.exit(code)"
"""Runs a command and says what CPU it took: several at once cannot be told apart from outside."""


@dataclass(frozen=True)
class Done:
    """What a simulation printed, and what it cost in seconds."""

    command: str
    output: str
    cpu: float
    wall: float

    def rows(self) -> list[str]:
        """The rows of its tables, headers and rules left out."""
        lines = [line.strip() for line in self.output.splitlines()]
        return [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if _is_row(line, after)]


def _is_row(line: str, after: str) -> bool:
    rule = r"\|[-:| ]+\|"
    return line.startswith("|") and not re.fullmatch(rule, line) and not re.fullmatch(rule, after)


def sources() -> str:
    """A digest of the code that is simulated: what another state of it printed does not count."""
    paths = sorted([*(ROOT / "rl_transfer" / "analysis").rglob("*.py"), *Path(__file__).parent.glob("*.py")])
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.relative_to(ROOT)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


def pages() -> dict[str, str]:
    """The text of each page of docs/ by its name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}


def commands() -> Iterator[list[str]]:
    """Module and options of each command of this package in a block of a page of docs/."""
    for text in pages().values():
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                words = line.partition("#")[0].split()
                if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks.validity."):
                    yield words[2:]


def run(words: Sequence[str], folder: Path) -> Done:
    """Run one simulation, or read what it printed when it ran to its end before with these options.

    Raises:
        SystemExit: it failed.
    """
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).removeprefix("benchmarks.validity."))
    kept = folder / f"{name}.json"
    if kept.is_file():
        return Done(**json.loads(kept.read_text(encoding="utf-8")))
    begun = time.monotonic()
    program = [sys.executable, "-c", WAITER, sys.executable, "-m", *words]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"python -m {' '.join(words)} failed:\n{ended.stderr}")
    cpu = float(ended.stderr.splitlines()[-1])
    done = Done(" ".join(words), ended.stdout, round(cpu, 1), round(time.monotonic() - begun, 1))
    folder.mkdir(parents=True, exist_ok=True)
    beside = kept.with_suffix(".part")
    beside.write_text(json.dumps(asdict(done)), encoding="utf-8")
    beside.replace(kept)
    return done


def lacking(done: Done, texts: Sequence[str]) -> list[str]:
    """Rows that a simulation printed and no page has."""
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return [row for row in done.rows() if row not in lines]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run them; one whose folder of results is not there is left out. Exit 1 where a page lacks a row."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validity", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "validity")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args(arguments)
    texts, chosen = [*pages().values()], []
    kept = given.output / sources()
    for words in commands():
        folder = words[words.index("--folder") + 1] if "--folder" in words else "."
        if (ROOT / folder).is_dir():
            chosen.append(words)
        else:
            print(
                f"left out: python -m {' '.join(words)}: there is no {folder}; `rl-transfer sweep` makes it"
            )
    differ, spent = 0, 0.0
    with ThreadPoolExecutor(given.jobs) as pool:
        for number, done in enumerate(pool.map(lambda words: run(words, kept), chosen), start=1):
            absent = lacking(done, texts)
            differ, spent = differ + len(absent), spent + done.cpu
            print(f"\n[{number}/{len(chosen)}] $ python -m {done.command}\n{done.output}", end="")
            print(f"{done.cpu:,.0f} s of CPU in {done.wall:,.0f} s; rows in the docs:", end=" ")
            print(f"{len(done.rows()) - len(absent)} of {len(done.rows())}", flush=True)
            for row in absent:
                print(f"  not in the docs: {row}")
    print(f"\n{len(chosen)} simulations, {spent / 60:,.0f} minutes of CPU; rows not in the docs: {differ}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
