"""Which tests run which lines of the product, and how long each test takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import coverage
import pytest

from mutants.operators import Mutant
from mutants.process import ROOT

BUILD = ROOT / "build" / "mutants"
CLOCK = "MUTANTS_CLOCK"
"""Environment variable that names the file for the tests' seconds."""
IMPORT = "import"
"""Stands for the test that runs a line when its module is imported."""


@dataclass
class Reach:
    """``lines[path][line]`` → tests that run it, and each test's seconds, its own fixtures included."""

    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def tests_of(self, mutant: Mutant, budget: float) -> tuple[list[str], float]:
        """The tests to try on a mutant, and the seconds that they take on unchanged code.

        Test files whose name speaks of the module come first, then the quicker ones; a file's tests stay
        together, as they share fixtures. At most ``budget`` seconds' worth of them, but always one test.
        """
        lines = self.lines.get(mutant.path, {})
        found = {test for line in mutant.lines for test in lines.get(line, ())}
        stem = Path(mutant.path).stem.strip("_")
        if IMPORT in found:
            # Tables are read by whoever imports the module; what it is named after is tested by its own file.
            found |= {test for tests in lines.values() for test in tests}
            found |= {test for test in self.seconds if stem in Path(test.partition("::")[0]).stem}
        found &= self.seconds.keys()
        files: dict[str, list[str]] = defaultdict(list)
        for test in sorted(found):
            files[test.partition("::")[0]].append(test)
        cost = {name: sum(self.seconds[test] for test in tests) for name, tests in files.items()}
        chosen: list[str] = []
        total = 0.0
        for name in sorted(files, key=lambda name: (stem not in Path(name).stem, cost[name], name)):
            for test in sorted(files[name], key=lambda test: (self.seconds[test], test)):
                if chosen and total + self.seconds[test] > budget:
                    break
                chosen.append(test)
                total += self.seconds[test]
        return chosen, total

    def at_import(self, mutant: Mutant) -> bool:
        """Whether a changed line runs when its module is imported."""
        lines = self.lines.get(mutant.path, {})
        return any(IMPORT in lines.get(line, ()) for line in mutant.lines)


def measure(tiers: Sequence[str]) -> Reach:
    """The reach of all tests of these tiers; from the last measurement if nothing has changed since.

    Raises:
        RuntimeError: the tests do not pass on unchanged code.
    """
    kept = BUILD / f"reach-{'-'.join(tiers)}.json"
    key = _fingerprint()
    if kept.exists():
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["key"] == key:
            return Reach(
                {
                    path: {int(n): tests for n, tests in lines.items()}
                    for path, lines in content["lines"].items()
                },
                content["seconds"],
            )
    BUILD.mkdir(parents=True, exist_ok=True)
    data, clock = BUILD / "coverage", BUILD / "seconds.json"
    choice = [word for tier in tiers for word in ("--tier", tier)]
    measured = ["--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0", "-p", "mutants.reach"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *choice, *measured],
        env={**os.environ, "COVERAGE_FILE": str(data), CLOCK: str(clock), "COVERAGE_CORE": "ctrace"},
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(tiers)}: the tests fail; mutants can only be judged by tests that pass"
        )
    reach = Reach(lines_of(data), json.loads(clock.read_text(encoding="utf-8")))
    kept.write_text(
        json.dumps({"key": key, "lines": reach.lines, "seconds": reach.seconds}), encoding="utf-8"
    )
    return reach


def lines_of(data: Path) -> dict[str, dict[int, list[str]]]:
    """Module → line → the tests that run it, from coverage measured with a context per test."""
    measured = coverage.CoverageData(str(data))
    measured.read()
    found: dict[str, dict[int, list[str]]] = {}
    for file in measured.measured_files():
        if not Path(file).is_relative_to(ROOT):  # a copy of the package that a test made
            continue
        path = Path(file).relative_to(ROOT).as_posix()
        found[path] = {
            line: sorted({context.rpartition("|")[0] or IMPORT for context in contexts})
            for line, contexts in measured.contexts_by_lineno(file).items()
        }
    return found


_seconds: dict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a test takes (this module is a plugin of the run that measures)."""
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write it down, once for all workers."""
    if CLOCK in os.environ and not hasattr(session.config, "workerinput"):
        Path(os.environ[CLOCK]).write_text(json.dumps(_seconds), encoding="utf-8")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for folder in ("rl_transfer", "envs", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
