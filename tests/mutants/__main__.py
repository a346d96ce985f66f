"""``make mutants``: change the code in every small way and see whether a test notices."""

from __future__ import annotations

import argparse
import ast
import contextlib
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from mutants import warm
from mutants.operators import Mutant, mutants, mutated, read
from mutants.process import ROOT, Outcome, prepare
from mutants.reach import Reach, measure
from mutants.rows import NAMED, TARGETS, Named
from mutants.warm import Task

NAMED_SECONDS = 120.0
"""Limit of one named row; most of it is for a machine that is busy with other things."""
GRACE = 30.0
"""Seconds that a mutant gets on top of three times its tests': imports, and a machine that is busy."""
PRODUCT = ("rl_transfer", "envs/rl_transfer_envs")


def main() -> int:
    """Run what the arguments ask for; 1 if something survived."""
    arguments = _arguments()
    prepare()
    if arguments.named:
        few = random.Random(arguments.seed).sample(NAMED, arguments.sample or len(NAMED))
        return named([row for row in NAMED if row in few])
    targets = modules()
    chosen = [m for paths in targets.values() for path in paths for m in mutants(path, read(ROOT, path))]
    if arguments.at:
        places = [place.partition(":")[::2] for place in arguments.at.split()]
        chosen = [
            m
            for m in chosen
            if any(m.path.endswith(path) and line in ("", str(m.line)) for path, line in places)
        ]
    if arguments.sample and arguments.sample < len(chosen):
        chosen = random.Random(arguments.seed).sample(chosen, arguments.sample)
    touched = {mutant.path for mutant in chosen}
    reach = measure({tests: paths for tests, paths in targets.items() if not touched.isdisjoint(paths)})
    judged = judge(chosen, reach, arguments.seconds, arguments.jobs)
    return report(judged, f"sample {arguments.sample or 'all'}, seed {arguments.seed}")


def modules() -> dict[str, list[str]]:
    """Test paths → the modules that they guard."""
    return {
        tests: [
            path.relative_to(ROOT).as_posix()
            for pattern in patterns
            for path in sorted(ROOT.glob(pattern))
            if path.name != "__init__.py"
        ]
        for tests, patterns in TARGETS.items()
    }


def judge(chosen: Sequence[Mutant], reach: Reach, seconds: float, jobs: int) -> list[tuple[Mutant, str]]:
    """The outcome of every mutant, told as it is found; Ctrl-C ends the search and keeps what is known."""
    judged: list[tuple[Mutant, str]] = []
    tasks: dict[str, list[tuple[Mutant, Task]]] = defaultdict(list)
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
            if reach.at_import(mutant):
                cold.append((mutant, task))
            else:
                tasks[reach.room(mutant.path)].append((mutant, task))
        for room, pairs in tasks.items():
            for index, outcome in warm.judge(room, [task for _, task in pairs], jobs):
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
    left = [(mutant, outcome) for mutant, outcome in judged if outcome not in ("killed", "timeout")]
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
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--seconds", type=float, default=20, help="seconds of tests to try on one mutant")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
