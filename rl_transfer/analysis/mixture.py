"""Runs that were not all computed by the same code, versions and kind of CPU."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from rl_transfer.analysis.inputs import Run
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted


def code_mixtures(runs: Iterable[Run]) -> list[str]:
    """One sentence per library, package or module that computed runs in more than one version.

    Args:
        runs: finished or not, each of them counts once; those without a record say nothing.

    Returns:
        ``12 runs were computed with torch 2.12, 48 with 2.13``, by name.
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for record in _records(runs):
        for name, version in (_texts(record, "versions") | _texts(record, "code")).items():
            seen[name][version] += 1
    return [
        _sentence(f"with {name}", "with", found) for name, found in sorted(seen.items()) if len(found) > 1
    ]


def cpu_mixture(runs: Iterable[Run]) -> list[str]:
    """Sentences where runs were computed on several kinds of CPU, or with several kinds of matrix products.

    Args:
        runs: as for :func:`code_mixtures`.

    Returns:
        One or two sentences, or none.
    """
    records = _records(runs)
    kinds = {
        "on": Counter(cpu for each in records if (cpu := _texts(each, "provenance").get("cpu"))),
        "with OpenBLAS's products for": Counter(
            name for each in records if (name := _texts(each, "engine").get("blas_kernels"))
        ),
    }
    return [
        f"{_sentence(words, words.split()[-1], found)}: the same run may round differently there"
        for words, found in kinds.items()
        if len(found) > 1
    ]


def versions_of(run: Run) -> Mapping[str, str]:
    """Library → version in a run's record.

    Args:
        run: any run.

    Returns:
        Empty without a record.
    """
    return _texts(run.record or {}, "versions")


def _records(runs: Iterable[Run]) -> list[JsonObject]:
    return [run.record for run in {run.id: run for run in runs}.values() if run.record is not None]


def _texts(record: JsonObject, key: str) -> dict[str, str]:
    found = record.get(key)
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {str(name): str(text) for name, text in pairs if text is not None}


def _sentence(first: str, other: str, found: Counter[str]) -> str:
    """``12 runs were computed with torch 2.12, 48 with 2.13``."""
    (value, count), *rest = sorted(found.items())
    begun = f"{counted(count, 'run')} {'was' if count == 1 else 'were'} computed {first} {value}"
    return ", ".join([begun, *(f"{number} {other} {each}" for each, number in rest)])
