"""``make faults``: the table of docs/reliability.md, each cell tried out; with KILLS, random kills too."""

import argparse
import sys
import tempfile
from pathlib import Path

from faults.kills import trial
from faults.rows import DAMAGES, FILES, WHOLE, outcomes, whole_outcome


def table(scratch: Path) -> str:
    """The tables as Markdown."""
    lines = [f"| file | {' | '.join(DAMAGES)} |", "|---" * (len(DAMAGES) + 1) + "|"]
    for name in (*FILES, "sweep.json"):
        cells = [" or ".join(sorted(outcomes(scratch, name, each))) for each in DAMAGES.values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines += ["", "| to a run | it is |", "|---|---|"]
    lines += [f"| {what} | {whole_outcome(scratch, damage)} |" for what, damage in WHOLE.items()]
    return "\n".join(lines) + "\n"


def shots(scratch: Path, kills: int, seed: int) -> str:
    """One line on so many random kills."""
    scratch.mkdir()
    struck, sweeps, differ = trial(scratch, kills, seed)
    killed = ", ".join(f"{count} of a {victim}" for victim, count in sorted(struck.items()))
    return f"{struck.total()} kills ({killed}) over {sweeps} sweeps: {differ} differ from one left alone\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(table(Path(folder, "scratch")))
        if given.kills:
            sys.stdout.write(shots(Path(folder, "shots"), given.kills, given.seed))
