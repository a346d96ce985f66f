"""What cards of policies and of classifiers have in common: the run, its verdict, files, licence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.analysis.arm_statistics import Interval, mean_interval
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.words import at_steps, number, scale_of_gains
from rl_transfer.report.markdown import figures, literal, table
from rl_transfer.report.verdict_text import unmarked, verdict_table
from rl_transfer.results.published import Published
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json
from rl_transfer.wording import amount, counted, last_name, placeless

CONFIDENCE = 0.95
_PATHS = ("path", "root", "file", "faces")
"""Settings of data and weights that are paths."""
WRITTEN_BY = "Written by [rl_transfer](https://pypi.org/project/rl-transfer)."
NO_LICENCE = (
    "Not given by whoever published this. Without a licence nobody else has permission to use, change or "
    "share it."
)


@dataclass(frozen=True)
class SweptCell:
    """The cells that a run is part of, in the analysis of its sweep.

    Attributes:
        matrix: the analysis.
        cells: those that hold the run.
        source: the source whose network the run made; None: it made none.
    """

    matrix: Matrix
    cells: Sequence[Cell]
    source: str | None


@dataclass(frozen=True)
class RunCard:
    """What is known of where a published network comes from.

    Attributes:
        address: where it can be loaded from: ``hf://user/repository``, or a word for the folder's path.
        licence: as the Hub writes it, ``mit``; None: not given.
        record: of the run that made it; None: no run of ours did.
        config: the file that holds the run's config; None: it has none that would make the run again.
        sweep: where its run stands; None: it is of no sweep, or that could not be analysed.
        unjudged: why there is no verdict of a transfer, a sentence; empty where there is one.
        digests: file → SHA-256.
    """

    address: str
    licence: str | None
    record: JsonObject | None
    config: str | None
    sweep: SweptCell | None
    unjudged: str
    digests: Mapping[str, str]

    @property
    def is_transfer(self) -> bool:
        """Whether its run began with a source."""
        return self.record is not None and bool(self.record["spec"].get("source"))


def over_runs(swept: SweptCell, decimals: int) -> Iterator[tuple[str, ...]]:
    """Rows about all runs of the cells, and all networks of the source, that a run is one of.

    Args:
        swept: where the run stands.
        decimals: of the figures.

    Yields:
        What it is, then what :func:`rl_transfer.report.markdown.figures` gives.
    """
    for cell in swept.cells:
        value = cell.metrics["final_performance"].value
        arm = f"{cell.strategy} from {cell.source}" if cell.source else cell.strategy
        what = f"all {len(value.per_seed)} runs of {arm} on {cell.target}, final performance"
        ends = Interval(value.mean, value.low, value.high)
        yield (unmarked(what), *figures([*value.per_seed.values()], ends, decimals))
    if swept.source is not None:
        scores = [*swept.matrix.sources[swept.source].scores.values()]
        networks = swept.matrix.labels.networks
        what = f"all {len(scores)} {networks} of the source {swept.source}, last evaluation"
        yield (unmarked(what), *figures(scores, mean_interval(scores, CONFIDENCE), decimals))


def training(card: RunCard, network: str) -> Iterator[str]:
    """The run: command, commit, machine, versions, and how it is had again.

    Args:
        card: of the network.
        network: what it is called: ``policy``, ``classifier``.

    Yields:
        Markdown, a paragraph each.
    """
    yield "## Training"
    record = card.record
    if record is None:
        yield f"There is no record of a run beside this {network}; what is known of it is in `bundle.json`."
        return
    spec, origin = record["spec"], record.get("provenance") or {}
    engine = [("engine", unmarked(str((record.get("engine") or {}).get("name", "sb3"))))]
    rows = [
        ("command", f"{literal(origin.get('command', 'not recorded'))}"),
        ("run", f"`{record['id']}`, root seed {spec.get('root_seed')}, seed {spec.get('seed')}"),
        *(engine if spec.get("kind") == "rl" else []),
        ("commit", _commit(origin.get("git"))),
        ("machine", unmarked(f"{origin.get('cpu', 'not recorded')}, {origin.get('platform', '')}")),
        (
            "finished",
            f"{record.get('finished', 'not recorded')}, after {record.get('wall_seconds', 0):.1f} s",
        ),
        (
            "versions",
            unmarked(", ".join(f"{name} {each}" for name, each in record.get("versions", {}).items())),
        ),
    ]
    yield table(("", ""), rows)
    if card.config is not None:
        verb = "transfer" if card.is_transfer else "train"
        given, what = (" --source SOURCE", ", from the source below") if card.is_transfer else ("", "")
        again = f"The same run again, under the same id{what}: `rl-transfer {verb} ./{card.config}{given}`."
        files = " Data and weights must lie where it says, with the same content."
        yield again + (files if spec.get("data") else "")


def _commit(git: Json) -> str:
    if not isinstance(git, dict):
        return "no repository"
    return f"`{git.get('commit')}`" + (" with uncommitted changes" if git.get("dirty") else "")


def transfer(card: RunCard, network: str, unit: str, more: Sequence[str] = ()) -> Iterator[str]:
    """What came from the source, and the verdict with what its controls say, or that there is none.

    Args:
        card: of the network; one that began with no source yields nothing.
        network: what it is called: ``policy``, ``classifier``.
        unit: of budgets: ``steps``, ``epochs``.
        more: sentences of the kind on source and target.

    Yields:
        Markdown, a paragraph each.
    """
    if not card.is_transfer or card.record is None:
        return
    record = card.record
    yield "## Transfer"
    score = record.get("source_score")
    reached = (
        f", which reached {number(float(score))} in its own task" if isinstance(score, int | float) else ""
    )
    after = f" trained for {amount(record['source_steps'], unit)}" if record.get("source_steps") else ""
    frozen = (record.get("frozen") or {}).get("parts") or []
    yield f"From the source {network} `{record['spec']['source']}`{after}{reached}."
    yield f"Frozen: {unmarked(', '.join(frozen)) or 'nothing'}."
    yield from more
    judged = () if card.sweep is None else [cell for cell in card.sweep.cells if cell.comparisons]
    if card.sweep is None or not judged:
        why = card.unjudged or "the run is no part of a comparison with training from scratch"
        yield f"**No verdict**: {unmarked(why)}."
        return
    matrix = card.sweep.matrix
    for cell in judged:
        budget = at_steps(matrix.targets[cell.target].budget, matrix.unit)
        yield (
            f"In the sweep {literal(matrix.name)}, {budget}, against {literal(matrix.baseline)}, over "
            f"{counted(len(cell.finished), 'seed')}:"
        )
        yield verdict_table(matrix, [cell])
    told = [
        f"* {cell.strategy} on {cell.target}: {flag.message}"
        for cell in judged
        for flag in cell.flags
        if flag.of_control
    ]
    yield "\n".join(f"- {unmarked(each)}" for each in [*matrix.warnings, *told])
    yield (
        f"Gains are {scale_of_gains(matrix)}, with their intervals. A verdict is about this way of training, "
        "over all its runs, not about this one file."
    )


def placeless_setting(key: str, value: Json) -> Json:
    """A setting of an environment, of data or of weights without places on a machine.

    Args:
        key: its name.
        value: with texts in it.

    Returns:
        The same, of paths the last name.
    """
    if key == "characters":
        return value  # what is drawn, such as "/~"
    return _each_text(value, _of_path if key in _PATHS else placeless)


def _of_path(text: str) -> str:
    return placeless(text) if "://" in text else last_name(text)


def _each_text(value: Json, change: Callable[[str], str]) -> Json:
    if isinstance(value, Mapping):
        return {change(name): _each_text(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_each_text(each, change) for each in value]
    return change(value) if isinstance(value, str) else value


def ending(card: RunCard, published: Published) -> Iterator[str]:
    """Files with their digests, notes, licence.

    Args:
        card: of what was published.
        published: the same.

    Yields:
        Markdown, a paragraph each.
    """
    yield "## Files"
    rows = [(literal(name), what, f"`{card.digests[name]}`") for name, what in published.files.items()]
    yield table(("file", "what it is", "SHA-256"), rows)
    yield f"Digest of the bundle (tensors and description): `{published.digest}`."
    if published.notes:
        yield "## Notes"
        yield "\n".join(f"- {unmarked(note)}" for note in published.notes)
    yield "## Licence"
    yield f"`{card.licence}`" if card.licence else NO_LICENCE
