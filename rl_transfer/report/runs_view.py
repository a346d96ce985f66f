"""What runs were made of, for the details of their cell; and runs that cannot be used, with their logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.model import CellKey, Matrix
from rl_transfer.errors import StoreError
from rl_transfer.report.logs import log_block
from rl_transfer.report.markup import Html, items, joined, table, tag
from rl_transfer.results import read_record
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted, listing

LOG_LINES = 8
FAILURE_LINES = 30
MOST_FAILURES = 10
"""Failures that are shown with their logs; of more only the name and the first line."""
MOST_LOGS = 200
"""With more cells than this their logs are named, not quoted: the page is to stay small."""


def of_cells(folder: Path, sweep: Sweep, matrix: Matrix) -> dict[CellKey, Html]:
    """What the first finished run of every cell was made of.

    Args:
        folder: the sweep's.
        sweep: its runs.
        matrix: their analysis.

    Returns:
        Cell → of one run its plan of tensors, what was frozen, source, time and end of the log; cells without
        a finished run are left out.
    """
    runs: dict[CellKey, list[Run]] = {}
    for run in sweep.runs:
        if run.role == "target" and run.target and run.strategy and run.finished:
            runs.setdefault((run.source, run.target, run.strategy), []).append(run)
    quoted = len(matrix.cells) <= MOST_LOGS
    return {
        cell.key: _run(folder, min(runs[cell.key], key=lambda run: run.seed), quoted)
        for cell in matrix.cells
        if cell.key in runs
    }


def _run(folder: Path, run: Run, quoted: bool) -> Html:
    try:
        record = read_record(folder / "runs" / run.id)
    except StoreError:
        record = None
    if record is None:
        return Html("")
    log = log_block(folder, run.id, LOG_LINES) if quoted else tag("p", f"Log: runs/{run.id}/log.txt.")
    head = tag("summary", f"Run of seed {run.seed}: plan of tensors, what was frozen, log")
    return tag("details", head, made_of(record), log)


def made_of(record: JsonObject) -> Html:
    """What a record says of its run: time, source, parameters, frozen parts, plan of tensors.

    Args:
        record: with anything in it.

    Returns:
        A list and a table.
    """
    return joined([items(_facts(record)), _plan(record)])


def _facts(record: JsonObject) -> list[str]:
    found = [f"Run {record.get('id')}, begun {_time(record.get('started'))}"]
    found[0] += f", {_seconds(record, 'wall_seconds')} ({_seconds(record, 'cpu_seconds')} of CPU)."
    if record.get("source_run"):
        score = record.get("source_score")
        said = "" if not isinstance(score, int | float) else f", which scores {score:g} in its own task"
        found.append(f"Source: run {record['source_run']}{said}.")
    sizes = record.get("parameters")
    counts = [sizes.get(key) for key in ("trainable", "total")] if isinstance(sizes, dict) else []
    if counts and all(isinstance(each, int) for each in counts):
        found.append(f"{counts[0]:,} of {counts[1]:,} parameters are trained.")
    frozen = record.get("frozen")
    if isinstance(frozen, dict) and isinstance(frozen.get("parts"), list) and frozen["parts"]:
        same = frozen.get("digest_before") == frozen.get("digest_after")
        proof = "the same digest before and after training" if same else "thawed, or changed, by the end"
        found.append(f"Frozen: {listing(list(map(str, frozen['parts'])))}; {proof}.")
    for key, title in (("knobs", "Knobs"), ("replaced", "Instead of the algorithm's")):
        values = record.get(key)
        if isinstance(values, dict) and values:
            found.append(f"{title}: {listing([f'{name} {value}' for name, value in values.items()])}.")
    return found


def _time(text: object) -> str:
    return str(text or "at an unknown time")[:16].replace("T", " ")


def _seconds(record: JsonObject, key: str) -> str:
    value = record.get(key)
    return f"{value:,.1f} s" if isinstance(value, int | float) else "unknown time"


def _plan(record: JsonObject) -> Html:
    """Tensors by part, and what was done with them; the record has each."""
    rows = record.get("plan")
    if not isinstance(rows, list) or not rows:
        return tag("p", "Nothing was copied: all tensors are the run's own.", class_="muted")
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if isinstance(row, dict):
            key = tuple(str(row.get(name) or "") for name in ("part", "action", "frozen", "reason"))
            groups.setdefault(key, []).append(str(row.get("tensor")))
    cells = [
        (part, counted(len(names), "tensor"), action, frozen or "–", reason)
        for (part, action, frozen, reason), names in groups.items()
    ]
    return table(["part", "tensors", "what was done", "in training", "why"], cells)


def failures_section(folder: Path, sweep: Sweep) -> Html:
    """Every run that failed or is damaged, with the end of its log; and how many never began for that.

    Args:
        folder: the sweep's.
        sweep: its runs.

    Returns:
        A section with its heading; nothing where nothing failed.
    """
    by_id = {run.id: run for run in (*sweep.runs, *sweep.tuning)}
    told = [run for run in by_id.values() if run.problem and run.problem.startswith(("failed", "damaged"))]
    skipped = sum((run.problem or "").startswith("skipped") for run in by_id.values())
    if not told and not skipped:
        return Html("")
    shown = [_failure(folder, run) for run in told[:MOST_FAILURES]]
    rest = [f"{_label(run)}: {_first_line(run)}" for run in told[MOST_FAILURES:]]
    summary = f"{counted(len(told), 'run')} failed" + (
        f"; {counted(skipped, 'run')} waited for them and did not begin" if skipped else ""
    )
    advice = f"{summary}. The same sweep tries them again; finished runs are kept."
    more = tag("details", tag("summary", f"{len(rest)} more"), items(rest)) if rest else ""
    return joined([tag("h2", "Failures"), tag("p", advice), *shown, more])


def _failure(folder: Path, run: Run) -> Html:
    head = tag("summary", tag("b", _label(run)), _first_line(run))
    return tag(
        "details", head, tag("pre", str(run.problem), tabindex="0"), log_block(folder, run.id, FAILURE_LINES)
    )


def _first_line(run: Run) -> str:
    return (run.problem or "").partition("\n")[0]


def _label(run: Run) -> str:
    """``fine-tune from cartpole on longer-pole, seed 3``."""
    words: Sequence[str | None] = (
        run.strategy or run.role,
        run.source and f"from {run.source}" if run.strategy else run.source,
        run.target and f"on {run.target}",
    )
    return f"{' '.join(word for word in words if word)}, seed {run.seed}"


def settings_text(value: object) -> str:
    """A setting as people read it, without what is not set.

    >>> settings_text({"n_envs": 8, "learning_rate": {"linear": 0.001, "final": 0.0}, "normalize": None})
    'n_envs 8, learning_rate (linear 0.001, final 0)'

    Args:
        value: plain data.
    """
    if isinstance(value, Mapping):
        parts = [(key, settings_text(each)) for key, each in value.items() if each is not None]
        return ", ".join(
            f"{key} ({text})" if isinstance(value[key], Mapping) else f"{key} {text}"
            for key, text in parts
            if text
        )
    if isinstance(value, list):
        return ", ".join(map(settings_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
