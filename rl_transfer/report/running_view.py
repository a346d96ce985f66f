"""The top of the page while its sweep runs: what is done, what runs, how long it takes, what that allows."""

from __future__ import annotations

from datetime import UTC, datetime

from rl_transfer.analysis import words
from rl_transfer.analysis.findings import findings
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.markup import Html, items, joined, table, tag
from rl_transfer.results import read_labels
from rl_transfer.results.looks import in_words, read_looks
from rl_transfer.results.standing import Standing, Underway
from rl_transfer.wording import clock, counted

MOST_RUNS = 50
"""Running runs that are listed; of more the number."""
_EXPLORATORY = (
    "Verdicts before the end are exploratory: they may change as further runs end. Looking does no harm as "
    "long as nobody acts on it; whoever stops the sweep, or adds seeds, for what this page says has no valid "
    "test any more. A seed plan says beforehand when to look, and its verdicts hold (docs/seed-plans.md)."
)
_PLANNED = (
    "This sweep has a seed plan ({seeds} seeds per arm). A look is taken when all its runs have ended: what "
    "it decides stays decided, and what runs now counts at the next one. Nothing is judged in between "
    "(docs/seed-plans.md)."
)
_TUNED = "Arms are still being tuned: none has chosen yet, and nothing is judged (docs/tuning.md)."


def running_section(
    standing: Standing, left: float | None, matrix: Matrix | None, every: int, *, stopped: bool
) -> Html:
    """How far the sweep is, and what may be said of it so far.

    Args:
        standing: where it stands.
        left: seconds until the last run ends; None: unknown.
        matrix: the analysis so far; None while arms are tuned.
        every: seconds between two looks at the folder.
        stopped: whether nobody is at work.

    Returns:
        A section with its heading.
    """
    told = [
        tag("p", tag("strong", progress_line(standing))),
        _bar(len(standing.finished), len(standing.rows), "runs finished"),
    ]
    if stopped:
        told.append(
            tag(
                "p",
                f"No sign of life since {moment(standing.seen)}, and nobody is at work. The same sweep, run "
                "again, goes on from here.",
            )
        )
    else:
        told.append(tag("p", _time_left(standing, left)))
        told.append(
            tag(
                "p",
                f"Last sign of life: {moment(standing.seen)}. This page is written again when something "
                f"changed, at most every {counted(every, 'second')}, and opens itself again.",
                class_="muted",
            )
        )
    if matrix is not None and (summary := findings(matrix).summary):
        told.append(tag("p", f"Decided so far: {summary[0].lower()}{summary[1:]}"))
    told.append(items([_what_holds(standing)], class_="warnings"))
    return joined([tag("h2", "Stopped" if stopped else "Running"), *told, _runs(standing)])


def progress_line(standing: Standing) -> str:
    """How many runs have ended, run and wait.

    Args:
        standing: where the sweep stands.

    Returns:
        ``36 of 68 runs finished (53%), 2 failed, 3 running, 27 waiting``; what is 0 is left out.
    """
    done, planned = len(standing.finished), len(standing.rows)
    counts = (
        ("failed", len(standing.failed)),
        ("skipped", len(standing.skipped)),
        ("running", len(standing.running)),
        ("waiting", len(standing.waiting)),
    )
    rest = "".join(f", {count} {name}" for name, count in counts if count or name == "running")
    return f"{done} of {counted(planned, 'run')} finished ({share(standing)}){rest}"


def share(standing: Standing) -> str:
    """The finished part in per cent, rounded down: ``99%`` means that something is left.

    Args:
        standing: where the sweep stands.
    """
    return f"{100 * len(standing.finished) // max(len(standing.rows), 1)}%"


def moment(seconds: float) -> str:
    """``2026-01-01 12:00:00 UTC``.

    Args:
        seconds: since the epoch.
    """
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M:%S} UTC"


def _time_left(standing: Standing, left: float | None) -> str:
    looks = read_looks(standing.manifest)
    part = " of the tuning" if standing.tunes else " of this look" if len(looks) > 1 else ""
    if left is None:
        return f"Time left{part}: unknown, until a run of each kind has begun and one has ended."
    return (
        f"Time left{part}: about {clock(left)}, if as many runs go on at a time as were seen so far, and "
        "last as long as those before them."
    )


def _what_holds(standing: Standing) -> str:
    if standing.tunes:
        return _TUNED
    looks = read_looks(standing.manifest)
    return _PLANNED.format(seeds=in_words(looks)) if len(looks) > 1 else _EXPLORATORY


def _bar(value: int, most: int, name: str) -> Html:
    return tag("progress", value=str(value), max=str(max(most, 1)), aria_label=name)


def _runs(standing: Standing) -> Html:
    if not standing.running:
        return tag("p", "No run is under way." if standing.finished else "No run has begun yet.")
    labels = read_labels(standing.manifest)
    digits = words.digits(labels)
    rows = [
        (
            run.name,
            _progress(run, labels.unit),
            "–" if run.score is None else words.number(run.score, digits=digits),
            moment(run.seen).split(" ")[1],
        )
        for run in standing.running[:MOST_RUNS]
    ]
    more = len(standing.running) - len(rows)
    return joined(
        [
            table(["run", "progress", labels.short_measure, "last sign of life (UTC)"], rows, class_="cards"),
            tag("p", f"{more} more are running.", class_="muted") if more else "",
        ]
    )


def _progress(run: Underway, unit: str) -> Html:
    if not run.steps:
        return Html("begins")
    return joined(
        [_bar(min(run.step, run.steps), run.steps, run.name), f" {run.step:,} of {run.steps:,} {unit}"]
    )
