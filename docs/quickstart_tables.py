"""The tables of docs/quickstart.md, reference-results.md and tuning.md, from the summary of a finished sweep.

rl-transfer sweep quickstart
python docs/quickstart_tables.py results/quickstart
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SYMBOLS = {"positive": "▲", "negative": "▼", "equivalent": "≈"}
JUDGED = ("asymptotic_gain", "auc_gain")


def verdict(comparison: dict[str, Any]) -> str:
    """Its symbol, and what people read: the verdict, or what is in its way."""
    outcome = str(comparison["outcome"])
    symbol = "∅" if outcome == "no arm left chance" else SYMBOLS.get(comparison["verdict"], "?")
    return f"{symbol} {outcome}"


def gain(comparison: dict[str, Any]) -> str:
    """A gain with its limits, or what is known of it."""
    point, low, high = (comparison[key] for key in ("gain", "low", "high"))
    if (low is None and high is None) or comparison["outcome"] == "no arm left chance":
        return "–"
    if high is None:
        return f"at least {low:+.2f}"
    if low is None:
        return f"at most {high:+.2f}"
    return f"{point:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def number(value: float) -> str:
    """Three figures, or whole numbers above 1,000."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def targets(cells: list[dict[str, Any]]) -> list[str]:
    """What the random policy and training from scratch score."""
    rows = ["| target | random policy | scratch, final |", "|---|---|---|"]
    for cell in cells:
        if cell["kind"] == "baseline":
            final = cell["metrics"]["final_performance"]["mean"]
            rows.append(f"| {cell['target']} | {number(cell['reference']['random'])} | {number(final)} |")
    return rows


def arm(cell: dict[str, Any], several: bool) -> str:
    """The strategy, and the source where there are several."""
    return (
        f"{cell['strategy']} from {cell['source']}" if several and cell["source"] else str(cell["strategy"])
    )


def of_several(cells: list[dict[str, Any]]) -> bool:
    """Whether the sweep has more than one source."""
    return len({cell["source"] for cell in cells if cell["source"]}) > 1


def verdicts(cells: list[dict[str, Any]]) -> list[str]:
    """Gains and verdicts of every strategy on every target."""
    several = of_several(cells)
    rows = [
        "| strategy | target | final quality | | sample efficiency (AUC) | |",
        "|---|---|---|---|---|---|",
    ]
    last = None
    for cell in cells:
        if cell["kind"] == "baseline":
            continue
        name = arm(cell, several) + (" (control)" if cell["kind"] == "control" else "")
        found = []
        for metric in JUDGED:
            comparison = cell["comparisons"][metric]
            found += [gain(comparison), verdict(comparison)]
        rows.append(f"| {'' if name == last else name} | {cell['target']} | {' | '.join(found)} |")
        last = name
    return rows


def part(summand: dict[str, Any]) -> str:
    """One of the differences that a gain is the sum of."""
    (low, high), point = summand["interval"], summand["gain"]
    return gain({"gain": point, "low": low, "high": high, "outcome": ""})


def knowledge(cells: list[dict[str, Any]]) -> list[str]:
    """What of a gain is above each control, what the control gains itself, and the finding."""
    rows = [
        "| strategy | target | figure | strategy − control | control − scratch | |",
        "|---|---|---|---|---|---|",
    ]
    last, several = None, of_several(cells)
    for cell in cells:
        for metric, name in zip(JUDGED, ("final quality", "sample efficiency"), strict=True):
            said = cell["comparisons"].get(metric, {}).get("attribution")
            for entry in said["controls"] if said else ():
                title = f"{arm(cell, several)} against {entry['control']}"
                parts = f"{part(entry['knowledge'])} | {part(entry['rest'])}"
                found = {"helps": "knowledge helps", "hurts": "knowledge hurts"}
                claim = found.get(said["finding"], said["finding"])
                rows.append(
                    f"| {'' if title == last else title} | {cell['target']} | {name} | {parts} | {claim} |"
                )
                last = title
    return rows


def tuning(cells: list[dict[str, Any]]) -> list[str]:
    """What every arm of a tuned sweep scored at each point (its choice in bold), and on fresh seeds."""
    tuned = [cell for cell in cells if cell.get("tuning")]
    if not tuned:
        return []
    (by,) = {cell["tuning"]["by"] for cell in tuned}
    gained = {"auc": "auc_gain", "final_performance": "asymptotic_gain"}[by]
    head = [
        ", ".join(f"{value:g}" for value in point["at"].values()) for point in tuned[0]["tuning"]["points"]
    ]
    rows = [f"| target, arm | {' | '.join(head)} | judged | gain |", "|---" * (len(head) + 3) + "|"]
    for cell in sorted(tuned, key=lambda cell: str(cell["target"])):
        points, chosen = cell["tuning"]["points"], cell["tuning"]["chosen"]
        means = [number(round(point["mean"])) for point in points]
        means[chosen] = f"**{means[chosen]}**"
        comparison = cell["comparisons"].get(gained)
        raw = comparison and comparison["raw"]
        limits = f"{raw['gain']:+.0f} [{raw['low']:+.0f}, {raw['high']:+.0f}]" if raw else ""
        found = f"{limits.replace('-', '−')} {verdict(comparison)}" if raw else ""
        name = f"{cell['strategy']}{' (control)' if cell['kind'] == 'control' else ''}"
        judged = number(round(cell["metrics"][by]["mean"]))
        rows.append(f"| {cell['target']}, {name} | {' | '.join(means)} | {judged} | {found} |")
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="results of a finished sweep")
    summary = parser.parse_args().folder / "summary.json"
    cells = json.loads(summary.read_text(encoding="utf-8"))
    for line in [*targets(cells), "", *verdicts(cells), "", *knowledge(cells), "", *tuning(cells)]:
        print(line)


if __name__ == "__main__":
    main()
