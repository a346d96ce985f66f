"""Is it knowledge? What controls are made to say of gains and losses whose cause is known.

    python -m benchmarks.validity.attribution              # lone cells, before and after, by K
    python -m benchmarks.validity.attribution --families   # families of 12 cells

Each takes less than a minute on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.validity.arms import DELTA, SHAPES, FloatArray, Shape
from benchmarks.validity.rules import Tests, corrected, guarded, plain, verdicts

Flags = npt.NDArray[np.bool_]
SEEDS = (5, 10, 20)
SCRATCH = 250.0
FINDINGS = ("helps", "hurts", "not knowledge")


@dataclass(frozen=True)
class Draws:
    """Cells [repeat, run] of one truth."""

    scratch: FloatArray
    arm: FloatArray
    controls: tuple[FloatArray, ...]


def draw(
    rng: np.random.Generator,
    shape: Shape,
    size: tuple[int, int],
    gain: float,
    controls: Sequence[float],
    scratch: FloatArray | None = None,
) -> Draws:
    """Cells whose true gains are known.

    Args:
        rng: source of randomness.
        shape: of the arms.
        size: repeats and runs.
        gain: of the arm over scratch.
        controls: gains of the controls over scratch.
        scratch: runs that other cells share; None: its own.
    """
    base = shape(rng, size, SCRATCH) if scratch is None else scratch
    others = tuple(shape(rng, size, SCRATCH + each) for each in controls)
    return Draws(base, shape(rng, size, SCRATCH + gain), others)


def before(cell: Draws) -> Flags:
    """Where ``not knowledge`` was said: the first control gains clearly, the arm not clearly more.

    Args:
        cell: the draws; only those with a positive verdict were asked.
    """
    over, control = plain(cell.arm, cell.controls[0]), plain(cell.controls[0], cell.scratch)
    found: Flags = (control.low > 0) & (control.gain >= DELTA) & ~(over.low > 0)
    return found


def after(cells: Sequence[Draws], q: float = 0.05) -> tuple[dict[str, Flags], dict[str, Flags]]:
    """What the product says of a family.

    Args:
        cells: of the family, all with controls.
        q: false-discovery rate.

    Returns:
        Finding → [repeat, cell], and verdict → the same.
    """
    judged = verdicts([guarded(cell.arm, cell.scratch) for cell in cells], q=q)
    over = [[guarded(cell.arm, control) for control in cell.controls] for cell in cells]
    known = corrected(np.stack([_knowledge_p(each) for each in over], axis=1)) < q
    found: dict[str, Flags] = {
        "helps": known & _all(over, lambda each: (each.low > 0) & (each.least >= DELTA)),
        "hurts": known & _all(over, lambda each: (each.high < 0) & (each.most <= -DELTA)),
    }
    absent = np.stack(
        [
            _absence_p(each, judged["positive"][:, place], judged["negative"][:, place])
            for place, each in enumerate(over)
        ],
        axis=1,
    )
    found["not knowledge"] = (corrected(absent) < q) & ~found["helps"] & ~found["hurts"]
    return found, judged


def _all(over: Sequence[Sequence[Tests]], holds: Callable[[Tests], Flags]) -> Flags:
    found: Flags = np.stack([np.logical_and.reduce([holds(each) for each in cell]) for cell in over], axis=1)
    return found


def _knowledge_p(over: Sequence[Tests]) -> FloatArray:
    signs = np.stack([np.sign(each.gain) for each in over])
    worst: FloatArray = np.stack([each.p for each in over]).max(axis=0)
    worst[np.abs(signs.sum(axis=0)) != len(over)] = 1.0
    return worst


def _absence_p(over: Sequence[Tests], positive: Flags, negative: Flags) -> FloatArray:
    gain, loss = (np.min([getattr(each, name) for each in over], axis=0) for name in ("below_p", "above_p"))
    p = np.where(positive, gain, np.where(negative, loss, 1.0))
    found: FloatArray = np.minimum(1.0, len(over) * p)
    return found


TRUTHS: Mapping[str, tuple[float, tuple[float, ...], str]] = {
    "all of the gain of 2 sd is knowledge": (120.0, (0.0,), "helps"),
    "half of it is": (120.0, (60.0,), "helps"),
    "δ of it is": (120.0, (120.0 - DELTA,), "helps"),
    "none of it is": (120.0, (120.0,), "not knowledge"),
    "a loss of 2 sd is knowledge": (-120.0, (0.0,), "hurts"),
    "none of that loss is": (-120.0, (-120.0,), "not knowledge"),
    "no gain, but the control gains 2 sd": (0.0, (120.0,), "hurts"),
    "nothing anywhere": (0.0, (0.0,), "not knowledge"),
    "two controls, all of the gain is knowledge": (120.0, (0.0, 0.0), "helps"),
    "two controls, one has the gain too": (120.0, (0.0, 120.0), "not knowledge"),
    "two controls, δ of the gain is": (120.0, (120.0 - DELTA, 120.0 - DELTA), "helps"),
}
"""Truth → gains of arm and controls, and what may be said."""


def lone(repeats: int) -> Iterator[str]:
    """Lone cells.

    Args:
        repeats: draws per cell.
    """
    rng = np.random.default_rng(4)
    yield "| truth | K | before: not knowledge | helps | hurts | not knowledge | false |"
    yield "|---|---|---|---|---|---|---|"
    for name, (gain, controls, right) in TRUTHS.items():
        for runs in SEEDS:
            cell = draw(rng, SHAPES["normal"], (repeats, runs), gain, controls)
            found, judged = after([cell])
            asked = judged["positive"][:, 0]
            said = f"{before(cell)[asked].mean():.2f}" if asked.mean() > 0.1 else "–"
            shares = {each: float(found[each].mean()) for each in FINDINGS}
            wrong = sum(share for each, share in shares.items() if each != right)
            told = " | ".join(f"{shares[each]:.3f}" for each in FINDINGS)
            yield f"| {name} | {runs} | {said} | {told} | {wrong:.3f} |"


def families(repeats: int) -> Iterator[str]:
    """Families of 12 cells on three targets that share scratch and control arms: false findings and power.

    A quarter gains 2 sd by knowledge, a quarter has the same gain without it, the others have none.

    Args:
        repeats: families drawn.
    """
    rng = np.random.default_rng(5)
    yield "| arms | K | false shares of knowledge | of not knowledge | knowledge found | absence found |"
    yield "|---|---|---|---|---|---|"
    for name in ("normal", "skewed", "bimodal", "heavy-tailed"):
        shape = SHAPES[name]
        for runs in SEEDS:
            cells, size = [], (repeats, runs)
            for _ in range(3):
                scratch = shape(rng, size, SCRATCH)
                cells += [
                    draw(rng, shape, size, gain, (control,), scratch)
                    for gain, control in ((120, 0), (120, 120), (0, 0), (0, 0))
                ]
            found, _ = after(cells)
            real = np.arange(12) % 4 == 0
            alike = np.arange(12) % 4 == 1
            known = found["helps"] | found["hurts"]
            wrong = _share(known & ~(real & found["helps"]), known)
            lost = _share(found["not knowledge"] & real, found["not knowledge"])
            right = found["helps"][:, real].mean(), found["not knowledge"][:, alike].mean()
            yield f"| {name} | {runs} | {wrong:.3f} | {lost:.3f} | {right[0]:.2f} | {right[1]:.2f} |"


def _share(wrong: Flags, all_: Flags) -> float:
    return float((wrong.sum(axis=1) / np.maximum(1, all_.sum(axis=1))).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--repeats", type=int)
    given = parser.parse_args(arguments)
    rows = families(given.repeats or 250) if given.families else lone(given.repeats or 4_000)
    for line in rows:
        print(line, flush=True)


if __name__ == "__main__":
    main()
