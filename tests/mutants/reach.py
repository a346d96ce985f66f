"""Which tests run which lines of the target modules, and how long each test takes."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mutants.operators import Mutant
from mutants.process import ROOT, run

CACHE = ROOT / "build" / "mutants-reach.json"
IMPORT = "import"
"""Stands for the test that runs a line when its module is imported."""


@dataclass
class Reach:
    """``lines[path][line]`` → tests that run it, and each test's seconds, its own fixtures included."""

    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    rooms: dict[str, list[str]] = field(default_factory=dict)
    """Test paths that were measured, as ``rows.TARGETS`` names them → the modules that they guard."""

    def tests_of(self, mutant: Mutant, budget: float) -> tuple[list[str], float]:
        """The tests to try on a mutant, and the seconds that they take on unchanged code.

        Test files whose name speaks of the module come first, then the quicker ones; a file's tests stay
        together, as they share fixtures. At most ``budget`` seconds' worth of them, but always one file.
        """
        lines = self.lines.get(mutant.path, {})
        found = {test for line in mutant.lines for test in lines.get(line, ())}
        stem = Path(mutant.path).stem.strip("_")
        if IMPORT in found:
            # Tables are read by whoever imports the module; what it is named after is tested by its own file.
            found |= {test for tests in lines.values() for test in tests}
            found |= {test for test in self.seconds if stem in Path(test.partition("::")[0]).stem}
        found.discard(IMPORT)
        files: dict[str, list[str]] = defaultdict(list)
        for test in sorted(found):
            files[test.partition("::")[0]].append(test)
        cost = {name: sum(self.seconds[test] for test in tests) for name, tests in files.items()}
        chosen: list[str] = []
        total = 0.0
        for name in sorted(files, key=lambda name: (stem not in Path(name).stem, cost[name], name)):
            if chosen and total + cost[name] > budget:
                break
            chosen += sorted(files[name], key=lambda test: (self.seconds[test], test))
            total += cost[name]
        return chosen, total

    def at_import(self, mutant: Mutant) -> bool:
        """Whether a changed line runs when its module is imported."""
        lines = self.lines.get(mutant.path, {})
        return any(IMPORT in lines.get(line, ()) for line in mutant.lines)

    def room(self, path: str) -> str:
        """The test paths that guard a module."""
        return next(tests for tests, paths in self.rooms.items() if path in paths)


class Recorder:
    """A pytest plugin that notes the lines that each test runs, and writes them down at the end."""

    def __init__(self, targets: Sequence[str], to: Path) -> None:
        self._names = {str(ROOT / path): path for path in targets}
        self._to = to
        self._hits: set[tuple[str, int]] = set()
        self._found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._seconds: dict[str, float] = {}
        sys.settrace(self._calls)

    def _calls(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename in self._names:
            self._hits.add((frame.f_code.co_filename, frame.f_lineno))
            return self._lines
        return None

    def _lines(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._hits.add((frame.f_code.co_filename, frame.f_lineno))
        return self._lines

    def _note(self, test: str) -> None:
        for name, line in self._hits:
            self._found[self._names[name]][line].append(test)
        self._hits.clear()

    def pytest_collection_finish(self) -> None:
        self._note(IMPORT)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        sys.settrace(self._calls)
        start = time.monotonic()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.monotonic() - start
            self._note(item.nodeid)

    def pytest_sessionfinish(self) -> None:
        sys.settrace(None)
        self._to.write_text(json.dumps({"lines": self._found, "seconds": self._seconds}), encoding="utf-8")


def measure(targets: dict[str, list[str]]) -> Reach:
    """The reach of tests over target modules, from the last measurement if nothing has changed since.

    Args:
        targets: test path → module paths that it is measured on.

    Raises:
        RuntimeError: the tests do not pass on unchanged code.
    """
    key = _fingerprint(targets)
    if CACHE.exists():
        kept = json.loads(CACHE.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return _reach(targets, kept["parts"])
    CACHE.parent.mkdir(exist_ok=True)
    part = CACHE.with_suffix(".part")
    parts = []
    for tests, modules in targets.items():
        outcome = run(tests.split(), 3600, plugins=[Recorder(modules, part)])
        if outcome != "survived":
            raise RuntimeError(f"{tests}: {outcome}; mutants can only be judged by tests that pass")
        parts.append(json.loads(part.read_text(encoding="utf-8")))
        part.unlink()
    CACHE.write_text(json.dumps({"key": key, "parts": parts}), encoding="utf-8")
    return _reach(targets, parts)


def _reach(targets: dict[str, list[str]], parts: Sequence[dict[str, Any]]) -> Reach:
    reach = Reach(rooms=targets)
    for part in parts:
        reach.seconds |= part["seconds"]
        for path, lines in part["lines"].items():
            known = reach.lines.setdefault(path, {})
            for line, tests in lines.items():
                known.setdefault(int(line), []).extend(tests)
    return reach


def _fingerprint(targets: dict[str, list[str]]) -> str:
    digest = hashlib.sha256(json.dumps(targets).encode())
    for folder in ("rl_transfer", "envs", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
