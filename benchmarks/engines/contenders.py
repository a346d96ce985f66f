"""Contenders as processes of their own on one pinned core, which take turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engines.cases import Case
from benchmarks.engines.serving import Result

ROOT = Path(__file__).resolve().parent.parent.parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
COMPILED_IN_JAX = "jax"


class Contender:
    """A process that trains whenever it is told to.

    Args:
        name: ``sb3``, ``compiled``, ``floor``, or ``jax-N`` with N members.
        case: what it trains.
        core: the only core that it may use.
        jax: the Python that has JAX.
        job: more of what it is told.
    """

    def __init__(self, name: str, case: Case, core: int, jax: str | None, **job: Any) -> None:
        self.name = name
        program = [sys.executable, "-m", "benchmarks.engines.worker"]
        told: dict[str, Any] = {"case": case.name, "engine": name, "steps": case.steps, **job}
        if name.startswith(COMPILED_IN_JAX):
            assert jax is not None
            program = [jax, "-m", "benchmarks.purejaxrl.worker"]
            settings = {"total_steps": case.steps}
            told = {"members": int(name.partition("-")[2]), "settings": settings}
        path = os.pathsep.join([str(ROOT), str(ROOT / "envs"), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), *program, json.dumps(told)],
            cwd=ROOT, env={**os.environ, **ONE_THREAD, "PYTHONPATH": path}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.prepared = self._answer()

    def tell(self, seed: int) -> None:
        """Have it train once."""
        assert self._process.stdin is not None
        print(seed, file=self._process.stdin, flush=True)

    def hear(self) -> Result:
        """What the training took, when it has ended."""
        return self._answer()

    def turn(self, seed: int) -> Result:
        """Train once and say what it took."""
        self.tell(seed)
        return self.hear()

    def _answer(self) -> Result:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            words = self._process.communicate()[1].strip()
            raise Failed(words or "it ended without a word")
        answer: Result = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Failed(Exception):
    """A contender could not do its work; its own words say why."""


@dataclass
class Row:
    """What one row came to: results of every contender, one a repeat, in the same order."""

    case: Case
    prepared: dict[str, Result] = field(default_factory=dict)
    results: dict[str, list[Result]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    load: float = 0.0
    """Processes that wanted a core in the last minute, when the row ended."""

    def speed(self, name: str, clock: str = "cpu") -> float:
        """Median environment steps per second."""
        return statistics.median(float(each["steps"] / each[clock]) for each in self.results[name])

    def ratios(self, name: str, other: str) -> list[float]:
        """How many times as fast per second of CPU as another, repeat by repeat, sorted."""
        pairs = zip(self.results[name], self.results[other], strict=True)
        return sorted((a["steps"] / a["cpu"]) / (b["steps"] / b["cpu"]) for a, b in pairs)


@contextmanager
def running(
    names: Sequence[str], case: Case, core: int, jax: str | None, row: Row, **job: Any
) -> Iterator[list[Contender]]:
    """The contenders that can be had; ``row`` says why the others cannot."""
    found = []
    try:
        for name in names:
            try:
                found.append(Contender(name, case, core, jax, **job))
            except Failed as failure:
                row.failed[name] = str(failure)
            else:
                row.prepared[name] = found[-1].prepared
        yield found
    finally:
        for contender in found:
            contender.close()


def compete(
    case: Case, repeats: int, core: int, jax: str | None, say: Callable[[str], object], **job: Any
) -> Row:
    """Let the contenders of a row take turns; who begins changes with every repeat."""
    row = Row(case)
    names = [name for name in case.contenders if jax or not name.startswith(COMPILED_IN_JAX)]
    with running(names, case, core, jax, row, **job) as contenders:
        for repeat in range(repeats):
            first = repeat % max(len(contenders), 1)
            for contender in contenders[first:] + contenders[:first]:
                result = contender.turn(repeat)
                row.results.setdefault(contender.name, []).append(result)
                speed = result["steps"] / result["cpu"]
                say(f"{case.name} {contender.name} {speed:,.0f} steps per CPU-second")
    row.load = os.getloadavg()[0]
    return row


def together(case: Case, name: str, workers: int, repeats: int) -> float:
    """Median environment steps per wall-clock second of ``workers`` at once, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))[:workers]
    found = []
    contenders = [Contender(name, case, core, None) for core in cores]
    try:
        for repeat in range(repeats):
            for contender in contenders:
                contender.tell(repeat)
            results = [contender.hear() for contender in contenders]
            found.append(sum(float(each["steps"] / each["wall"]) for each in results))
    finally:
        for contender in contenders:
            contender.close()
    return statistics.median(found)
