"""Results as Markdown tables and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.engines.cases import Case
from benchmarks.engines.contenders import Row

PARTS = ("environment", "acting", "update", "rest")


def narrowed(case: Case, contenders: Sequence[str] | None) -> Case:
    """The same row with those of its contenders that were asked for."""
    if contenders is None:
        return case
    return replace(case, contenders=tuple(name for name in case.contenders if name in contenders))


def show(lines: Iterable[str]) -> None:
    """Print a table."""
    print("\n".join(lines), flush=True)
    print(flush=True)


def header(*names: str) -> Iterator[str]:
    """The first two lines of a table: text, then numbers."""
    yield f"| {' | '.join(names)} |"
    yield f"|---|---|{'---:|' * (len(names) - 2)}"


def versus(row: Row, name: str, other: str) -> str:
    """The median of the ratios, and their range."""
    if name == other or not {name, other} <= row.results.keys():
        return "–"
    ratios = row.ratios(name, other)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f})"


def speeds(rows: Iterable[Row]) -> Iterator[str]:
    """Steps per second of every contender of every row, beside SB3 and the floor."""
    yield from header(
        "row", "contender", "steps/CPU-s", "steps/s", "× sb3 (range)", "of the floor", "warm-up, CPU-s",
        "score", "load",
    )  # fmt: skip
    for row in rows:
        for name, results in row.results.items():
            scores = [each["score"] for each in results if each.get("score") is not None]
            share = "–"
            if "floor" in row.results and name != "floor":
                share = f"{100 * statistics.median(row.ratios(name, 'floor')):.0f} %"
            cells = [
                row.case.name, name, f"{row.speed(name):,.0f}", f"{row.speed(name, 'wall'):,.0f}",
                versus(row, name, "sb3"), share, f"{row.prepared[name]['cpu']:.1f}",
                f"{statistics.median(scores):.0f}" if scores else "–", f"{row.load:.1f}",
            ]  # fmt: skip
            yield f"| {' | '.join(cells)} |"
        yield from failures(row)


def failures(row: Row) -> Iterator[str]:
    """A line for each contender that could not run: the last line that it said."""
    for name, words in row.failed.items():
        yield f"| {row.case.name} | {name}: {words.splitlines()[-1]} |"


def profile(rows: Iterable[Row]) -> Iterator[str]:
    """Microseconds of CPU per environment step, part by part."""
    yield from header("row", "contender", *(f"{part}, µs" for part in PARTS), "all, µs")
    for row in rows:
        for name, results in row.results.items():
            if not results[0].get("parts"):
                each = statistics.median(1e6 * result["cpu"] / result["steps"] for result in results)
                operations = row.prepared[name].get("operations", 0.0)
                rate = f"{operations / each / 1e3:.0f} GFLOP/s, {operations / 1e3:,.0f} kFLOP a step"
                yield f"| {row.case.name} | {name}: {rate} |  |  |  |  | {each:.1f} |"
                continue
            costs = [
                statistics.median(1e6 * each["parts"].get(part, 0.0) / each["steps"] for each in results)
                for part in PARTS
            ]
            every = [1e6 * sum(each["parts"].values()) / each["steps"] for each in results]
            cells = [f"{cost:.1f}" for cost in (*costs, statistics.median(every))]
            yield f"| {row.case.name} | {name} | {' | '.join(cells)} |"
        yield from failures(row)


def minibatch(case: Case, costs: Iterable[tuple[str, float]]) -> Iterator[str]:
    """Microseconds of one minibatch of the compiled engine."""
    yield from header(f"one minibatch of {case.name}", "what", "µs")
    for name, cost in costs:
        yield f"| | {name} | {cost:.1f} |"


def whole_runs(rows: Iterable[Row]) -> Iterator[str]:
    """Seconds of CPU of whole runs, and the share of their evaluations."""
    yield from header(
        "run", "engine", "steps", "CPU-s", "× sb3 (range)", "evaluations, CPU-s", "their share", "score"
    )
    for row in rows:
        for name, results in row.results.items():
            evaluating = statistics.median(each["parts"]["evaluation"] for each in results)
            share = statistics.median(each["parts"]["evaluation"] / each["cpu"] for each in results)
            seconds = statistics.median(each["cpu"] for each in results)
            score = statistics.median(each["score"] for each in results)
            cells = [
                row.case.name, name, f"{row.case.steps:,}", f"{seconds:.2f}", versus(row, name, "sb3"),
                f"{evaluating:.3f}", f"{100 * share:.0f} %", f"{score:.0f}",
            ]  # fmt: skip
            yield f"| {' | '.join(cells)} |"
        yield from failures(row)


def workers(speeds: Mapping[tuple[str, int], float]) -> Iterator[str]:
    """Steps per second of several processes at once."""
    yield from header("engine", "workers", "steps/s, all together", "× one worker")
    for (name, count), speed in speeds.items():
        yield f"| {name} | {count} | {speed:,.0f} | {speed / speeds[name, 1]:.2f} |"


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON."""
    return asdict(row)
