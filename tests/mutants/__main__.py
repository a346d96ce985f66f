"""``make mutants``: change the code in every small way and see whether a test notices."""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mutants import warm
from mutants.operators import Mutant, mutants, mutated, read
from mutants.process import ROOT, Outcome, prepare
from mutants.reach import Reach, measure
from mutants.rows import NAMED, ROOMS, Named
from mutants.warm import Task
from support.tiers import NAMES

NAMED_SECONDS = 120.0
"""Limit of one named row; most of it is for a machine that is busy with other things."""
GRACE = 30.0
"""Seconds that a mutant gets on top of three times its tests': imports, and a machine that is busy."""
NOTICED = ("killed", "timeout")
PRODUCT = ("rl_transfer", "envs/rl_transfer_envs")


def main() -> int:
    """Run what the arguments ask for; 1 if something survived."""
    arguments = _arguments()
    prepare()
    if arguments.named:
        few = random.Random(arguments.seed).sample(NAMED, arguments.sample or len(NAMED))
        return named([row for row in NAMED if row in few])
    chosen = draw(arguments)
    judged: dict[Mutant, str] = {}
    killers: dict[Mutant, str] = {}
    for tiers in [["default"], [*NAMES]] if arguments.tiers else [[*NAMES]]:
        left = [mutant for mutant in chosen if judged.get(mutant) not in NOTICED]
        for mutant, outcome in judge(left, measure(tiers), arguments.seconds, arguments.jobs):
            judged[mutant] = outcome
            if outcome in NOTICED:
                killers[mutant] = tiers[0] if len(tiers) == 1 else "all"
    if arguments.keep:
        keep(arguments.keep, judged, killers)
    return report([*judged.items()], f"sample {arguments.sample or 'all'}, seed {arguments.seed}")


def draw(arguments: argparse.Namespace) -> list[Mutant]:
    """The mutants that the arguments ask for; a sample has the same number from every room."""
    if arguments.again:
        known = json.loads(Path(arguments.again).read_text(encoding="utf-8"))
        every = {path: mutants(path, read(ROOT, path)) for path in {row["path"] for row in known}}
        return [found for row in known if (found := again(row, every[row["path"]])) is not None]
    rooms = {
        room: [m for path in paths for m in mutants(path, read(ROOT, path))]
        for room, paths in modules().items()
    }
    if arguments.at:
        places = [place.partition(":")[::2] for place in arguments.at.split()]
        rooms = {
            room: [
                m
                for m in found
                for path, line in places
                if m.path.endswith(path) and line in ("", str(m.line))
            ]
            for room, found in rooms.items()
        }
    if not arguments.sample:
        return [mutant for found in rooms.values() for mutant in found]
    filled = [found for found in rooms.values() if found]
    shares = [(arguments.sample + index) // len(filled) for index in range(len(filled))]
    return [
        mutant
        for found, share in zip(filled, shares, strict=True)
        for mutant in random.Random(arguments.seed).sample(found, min(share, len(found)))
    ]


def again(row: dict[str, Any], found: Sequence[Mutant]) -> Mutant | None:
    """The same change in the code as it is now: by its text and its number among equal ones."""
    alike = [mutant for mutant in found if mutant.change == row["change"]]
    number: int = row["number"]
    if number < len(alike):
        return alike[number]
    print(f"gone      {row['path']}:{row['line']}: {row['change']}")
    return None


def keep(where: str, judged: Mapping[Mutant, str], killers: Mapping[Mutant, str]) -> None:
    """Write what became of every mutant, as ``--again`` reads it."""
    rows = []
    for mutant, outcome in judged.items():
        alike = [m for m in mutants(mutant.path, read(ROOT, mutant.path)) if m.change == mutant.change]
        rows.append({
            "path": mutant.path, "line": mutant.line, "change": mutant.change, "number": alike.index(mutant),
            "outcome": outcome, "tier": killers.get(mutant, ""),
        })  # fmt: skip
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    Path(where).write_text(f"[\n{text}\n]\n", encoding="utf-8")


def modules() -> dict[str, list[str]]:
    """Room → its modules."""
    return {
        room: [
            path.relative_to(ROOT).as_posix()
            for pattern in patterns
            for path in sorted(ROOT.glob(pattern))
            if path.name != "__init__.py"
        ]
        for room, patterns in ROOMS.items()
    }


def judge(chosen: Sequence[Mutant], reach: Reach, seconds: float, jobs: int) -> list[tuple[Mutant, str]]:
    """The outcome of every mutant, told as it is found; Ctrl-C ends the search and keeps what is known."""
    judged: list[tuple[Mutant, str]] = []
    pairs: list[tuple[Mutant, Task]] = []
    cold: list[tuple[Mutant, Task]] = []

    def tell(mutant: Mutant, outcome: str) -> None:
        judged.append((mutant, outcome))
        clock = f"[{len(judged)} of {len(chosen)}, {time.monotonic() - start:.0f} s]"
        print(f"{outcome:9} {mutant.path}:{mutant.line}: {mutant.change}  {clock}", flush=True)

    start = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        for mutant in chosen:
            tests, cost = reach.tests_of(mutant, seconds)
            if not tests:
                tell(mutant, "unreached")
                continue
            task = Task(mutant.path, mutated(mutant, read(ROOT, mutant.path)), tests, 3 * cost + GRACE)
            (cold if reach.at_import(mutant) else pairs).append((mutant, task))
        files = sorted({test.partition("::")[0] for _, task in pairs for test in task.tests})
        for index, outcome in warm.judge(" ".join(files), [task for _, task in pairs], jobs):
            if outcome is None:
                cold.append(pairs[index])
            else:
                tell(pairs[index][0], outcome)
        for index, outcome in warm.judge_apart([task for _, task in cold], jobs):
            tell(cold[index][0], outcome or "broken")
    return judged


def report(judged: list[tuple[Mutant, str]], what: str) -> int:
    """Print the table and the survivors."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, outcome in judged:
        table[mutant.path][outcome] += 1
    total: Counter[str] = sum(table.values(), Counter())
    columns = ("killed", "timeout", "survived", "unreached", "broken")
    print(f"\n{what}\n{'module':50} {'mutants':>8} " + " ".join(f"{name:>9}" for name in columns))
    for path, counts in [*sorted(table.items()), ("total", total)]:
        print(f"{path:50} {counts.total():8} " + " ".join(f"{counts[name]:9}" for name in columns))
    left = [(mutant, outcome) for mutant, outcome in judged if outcome not in NOTICED]
    for mutant, outcome in sorted(left, key=lambda entry: (entry[0].path, entry[0].line)):
        print(f"{outcome}: {mutant.path}:{mutant.line}: {mutant.change}")
    return int(bool(left))


def named(rows: Sequence[Named]) -> int:
    """Judge the named rows in one warm process: each is killed by its tests, which pass on unchanged code."""
    tests = sorted({test for row in rows for test in row.tests})
    located = [locate(row) for row in rows]
    path, _ = located[0]
    tasks = [
        Task(path, ast.parse(read(ROOT, path)), tests, NAMED_SECONDS * 2),
        *(Task(*place, row.tests, NAMED_SECONDS) for row, place in zip(rows, located, strict=True)),
    ]
    names = ["(unchanged code; must survive)"]
    names += [f"{row.name} ({path})" for row, (path, _) in zip(rows, located, strict=True)]
    found: dict[int, Outcome | None] = {}
    for index, outcome in warm.judge(" ".join(sorted({test.partition("::")[0] for test in tests})), tasks):
        found[index] = outcome
    apart = [index for index, outcome in found.items() if outcome is None]
    for place, outcome in warm.judge_apart([tasks[index] for index in apart]):
        found[apart[place]] = outcome
    for index, name in enumerate(names):
        print(f"{found[index] or 'broken':9} {name}", flush=True)
    return int(found != {0: "survived", **dict.fromkeys(range(1, len(tasks)), "killed")})


def locate(row: Named) -> tuple[str, ast.Module]:
    """The module that holds a row's text, and its tree with the change made.

    Raises:
        LookupError: the text does not stand exactly once in the product.
    """
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in PRODUCT
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    holding = {path: text.count(row.before) for path, text in texts.items() if row.before in text}
    if list(holding.values()) != [1]:
        raise LookupError(
            f"the text of {row.name!r} stands in {holding or 'no module'}; it must stand once. The code was "
            "rewritten: give the row in tests/mutants/rows.py the new text of the same change"
        )
    (path,) = holding
    return path, ast.parse(texts[path].replace(row.before, row.after))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--named", action="store_true", help="only the changes that have a name")
    parser.add_argument("--sample", type=int, default=0, help="how many to draw; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--at", default="", help="only mutants of these modules or lines: path or path:line")
    parser.add_argument(
        "--tiers", action="store_true", help="the default tier first, then all tiers on what lives"
    )
    parser.add_argument("--keep", metavar="FILE", help="write what became of every mutant")
    parser.add_argument("--again", metavar="FILE", help="judge the mutants of such a file")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--seconds", type=float, default=20, help="seconds of tests to try on one mutant")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
