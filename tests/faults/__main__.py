"""``make faults``: the table of docs/reliability.md, each cell tried out."""

import sys
import tempfile
from pathlib import Path

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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(table(Path(folder, "scratch")))
