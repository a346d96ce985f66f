"""The tables of docs/choosing-a-source.md, from the rankings of finished sweeps of several sources.

rl-transfer sweep source-study-cartpole
python docs/ranking_tables.py results/source-study-cartpole results/source-study-acrobot
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.ranking_words import score_name


def cells(score: dict[str, Any] | None, starred: bool) -> list[str]:
    """τ and regret of a score in one sweep; what is shown to rank better than chance is in bold."""
    if score is None:
        return ["–", "–"]
    tau, regret = score["tau"], score["regret_share"]
    found = f"{tau['point']:+.2f}"
    if tau["low"] is not None:
        found += f" [{tau['low']:+.2f}, {tau['high']:+.2f}]"
    found = found.replace("-", "−")
    return [f"**{found}**" if starred else found, f"{regret['point']:.0%}"]


def rows(entries: list[dict[str, Any]]) -> list[list[str]]:
    """A row for every score and control that any of the sweeps has, best mean τ first."""
    found: list[tuple[bool, float, list[str]]] = []
    for place in ("scores", "controls"):
        names = {score["score"] for entry in entries for score in entry[place]}
        for name in names:
            each = [next((s for s in entry[place] if s["score"] == name), None) for entry in entries]
            taus = [score["tau"]["point"] for score in each if score is not None]
            row = [score_name(name) + (" (control)" if place == "controls" else "")]
            for entry, score in zip(entries, each, strict=True):
                row += cells(score, name in entry["better_than_chance"])
            found.append((place == "controls", -sum(taus) / len(taus), row))
    others = ["the gains of other seeds (control)"]
    for entry in entries:
        other = entry["other_seeds"]
        others += ["–", "–"] if other is None else [f"{other['tau']:+.2f}", f"{other['regret_share']:.0%}"]
    return [row for *_, row in sorted(found)] + [others]


def main() -> None:
    """Print a table per judged metric."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="finished sweeps")
    chosen = parser.parse_args()
    rankings = [
        json.loads((folder / "ranking.json").read_text(encoding="utf-8")) for folder in chosen.folders
    ]
    for metric in dict.fromkeys(entry["metric"] for ranking in rankings for entry in ranking):
        entries = [next(entry for entry in ranking if entry["metric"] == metric) for ranking in rankings]
        print(f"{METRICS[metric].label}:\n")
        heads = [f"{folder.name}: τ | regret" for folder in chosen.folders]
        print(f"| | {' | '.join(heads)} |\n|---|{'---|---|' * len(heads)}")
        for row in rows(entries):
            print(f"| {' | '.join(row)} |")
        print()


if __name__ == "__main__":
    main()
