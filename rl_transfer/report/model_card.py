"""The card of a published policy: ``README.md`` with the header that the Hugging Face Hub reads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.analysis.arm_statistics import Interval, mean_interval
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.words import at_steps, number
from rl_transfer.report.verdict_text import unmarked, verdict_table
from rl_transfer.results.published import PublishedPolicy
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.wording import counted

CONFIDENCE = 0.95
UNDEFINED = "–"
NO_LICENCE = (
    "Not given by whoever published this. Without a licence nobody else has permission to use, change or "
    "share it."
)


@dataclass(frozen=True)
class PlayedScore:
    """What one policy reached in some episodes.

    Attributes:
        what: which episodes, and what to know of them.
        returns: ``returns[episode]`` in reward units; one at least.
        fresh: played for the card: nothing was chosen by it, so the header may name it.
    """

    what: str
    returns: Sequence[float]
    fresh: bool = False


@dataclass(frozen=True)
class SweptCell:
    """The cells that a run is part of, in the analysis of its sweep.

    Attributes:
        matrix: the analysis.
        cells: those that hold the run.
        source: the source whose policy the run made; None: it made none.
    """

    matrix: Matrix
    cells: Sequence[Cell]
    source: str | None


@dataclass(frozen=True)
class ModelCard:
    """Everything that a card tells.

    Attributes:
        policy: what was written.
        address: where it can be loaded from: ``hf://user/repository``, or a word for the folder's path.
        licence: as the Hub writes it, ``mit``; None: not given.
        scores: measured ones; one that is fresh comes first, and the header names it.
        record: of the run that made the policy; None: no run of ours did.
        config: the file that holds the run's config; None: it has none that would make the run again.
        sweep: where its run stands; None: it is of no sweep, or that could not be analysed.
        unjudged: why there is no verdict of a transfer, a sentence; empty where there is one.
        digests: file → SHA-256.
    """

    policy: PublishedPolicy
    address: str
    licence: str | None
    scores: Sequence[PlayedScore]
    record: JsonObject | None
    config: str | None
    sweep: SweptCell | None
    unjudged: str
    digests: Mapping[str, str]

    def text(self) -> str:
        """The whole card.

        Returns:
            Markdown under a YAML header.
        """
        header = yaml_text(_header(self))
        body = "\n\n".join(part for part in _parts(self) if part)
        return f"---\n{header}---\n\n{body}\n"


def _header(card: ModelCard) -> dict[str, Json]:
    policy = card.policy
    tags: list[Json] = ["reinforcement-learning", "rl-transfer", policy.algorithm.lower(), policy.env]
    tags += ["stable-baselines3"] * (policy.sb3 is not None) + ["onnx"] * (policy.onnx is not None)
    tags += ["transfer-learning"] * _is_transfer(card)
    found: dict[str, Json] = {
        "library_name": "stable-baselines3" if policy.sb3 else "rl-transfer",
        "tags": tags,
        "pipeline_tag": "reinforcement-learning",
    }
    if card.licence is not None:
        found["license"] = card.licence
    if card.scores and card.scores[0].fresh:
        found["model-index"] = [{"name": policy.name, "results": [_result(policy, card.scores[0])]}]
    return found


def _result(policy: PublishedPolicy, score: PlayedScore) -> Json:
    where = "; ".join(each.partition(" (")[0] for each in policy.perturbations)
    returns = [*map(float, score.returns)]
    mean, _, spread, *_ = _figures(returns, mean_interval(returns, CONFIDENCE))
    value = mean if spread == UNDEFINED else f"{mean} +/- {spread}"
    return {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"name": f"{policy.env} ({where})" if where else policy.env, "type": policy.env},
        "metrics": [{"type": "mean_reward", "name": "mean_reward", "value": value, "verified": False}],
    }


def _parts(card: ModelCard) -> Iterator[str]:
    policy = card.policy
    changed = f", {counted(len(policy.perturbations), 'perturbation')}" if policy.perturbations else ""
    yield f"# {unmarked(policy.algorithm)} in {unmarked(policy.env)}{changed}"
    yield _summary(card)
    yield from _score(card)
    yield from _environment(policy)
    yield from _training(card)
    yield from _verdict(card)
    yield from _loading(card)
    yield "## Files"
    rows = [(literal(name), what, f"`{card.digests[name]}`") for name, what in policy.files.items()]
    yield table(("file", "what it is", "SHA-256"), rows)
    yield f"Digest of the bundle (tensors and description): `{policy.digest}`."
    if policy.notes:
        yield "## Notes"
        yield "\n".join(f"- {unmarked(note)}" for note in policy.notes)
    yield "## Licence"
    yield f"`{card.licence}`" if card.licence else NO_LICENCE


def _summary(card: ModelCard) -> str:
    policy = card.policy
    steps = "" if policy.steps is None else f", trained for {policy.steps:,} environment steps"
    return (
        f"A policy of {unmarked(policy.algorithm)} ({unmarked(policy.policy)}, {policy.parameters:,} "
        f"parameters, observations {unmarked(policy.observations)}, "
        f"actions {unmarked(policy.actions)}){steps}. "
        "Written by [rl_transfer](https://pypi.org/project/rl-transfer)."
    )


def _score(card: ModelCard) -> Iterator[str]:
    yield "## Scores"
    rows = [_score_row(score) for score in card.scores]
    rows += [] if card.sweep is None else [*_seed_rows(card.sweep)]
    if not rows:
        yield "Not measured: nothing was played for this card, and no run of ours recorded an evaluation."
        return
    head = ("mean episodic return of", "mean", "95 % interval", "standard deviation", "least", "greatest")
    yield table(head, rows)
    yield (
        "Episodes: Student's t over the episodes of this one policy. Runs: over runs with other seeds, and "
        "so about training, not about this one file. A dash stands where nothing varied, or there was one "
        "value: no interval can be had from that."
    )
    if card.scores and card.scores[0].fresh:
        yield "The header's `mean_reward` is the first row, as the Hub has it: mean +/- standard deviation."


def _score_row(score: PlayedScore) -> tuple[str, ...]:
    returns = [*map(float, score.returns)]
    return (unmarked(score.what), *_figures(returns, mean_interval(returns, CONFIDENCE)))


def _seed_rows(swept: SweptCell) -> Iterator[tuple[str, ...]]:
    for cell in swept.cells:
        value = cell.metrics["final_performance"].value
        arm = f"{cell.strategy} from {cell.source}" if cell.source else cell.strategy
        what = f"all {len(value.per_seed)} runs of {arm} on {cell.target}, final performance"
        ends = Interval(value.mean, value.low, value.high)
        yield (unmarked(what), *_figures([*value.per_seed.values()], ends))
    if swept.source is not None:
        scores = [*swept.matrix.sources[swept.source].scores.values()]
        what = f"all {len(scores)} policies of the source {swept.source}, last evaluation"
        yield (unmarked(what), *_figures(scores, mean_interval(scores, CONFIDENCE)))


def _figures(values: Sequence[float], ends: Interval) -> tuple[str, ...]:
    """Mean, interval, spread, least and greatest."""
    if not values:
        return (UNDEFINED,) * 5
    mean, spread = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan
    known = ends.defined and min(values) < max(values)
    shown = f"{ends.low:.2f} to {ends.high:.2f}" if known else UNDEFINED
    least, greatest = f"{min(values):.2f}", f"{max(values):.2f}"
    return f"{mean:.2f}", shown, UNDEFINED if math.isnan(spread) else f"{spread:.2f}", least, greatest


def _environment(policy: PublishedPolicy) -> Iterator[str]:
    yield "## Environment"
    arguments = f" with {unmarked(str(dict(policy.arguments)))}" if policy.arguments else ""
    yield f"{literal(policy.env)} of Gymnasium{arguments}" + (
        ", changed:" if policy.perturbations else ", as registered."
    )
    if policy.perturbations:
        yield "\n".join(f"- {unmarked(each)}" for each in policy.perturbations)


def _training(card: ModelCard) -> Iterator[str]:
    yield "## Training"
    record = card.record
    if record is None:
        yield "There is no record of a run beside this policy; what is known of it is in `bundle.json`."
        return
    spec, origin = record["spec"], record.get("provenance") or {}
    rows = [
        ("command", f"{literal(origin.get('command', 'not recorded'))}"),
        ("run", f"`{record['id']}`, root seed {spec.get('root_seed')}, seed {spec.get('seed')}"),
        ("engine", unmarked(str((record.get("engine") or {}).get("name", "sb3")))),
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
        verb = "transfer" if _is_transfer(card) else "train"
        given, what = (" --source SOURCE", ", from the source below") if _is_transfer(card) else ("", "")
        yield f"The same run again, under the same id{what}: `rl-transfer {verb} ./{card.config}{given}`."


def _commit(git: Json) -> str:
    if not isinstance(git, dict):
        return "no repository"
    return f"`{git.get('commit')}`" + (" with uncommitted changes" if git.get("dirty") else "")


def _is_transfer(card: ModelCard) -> bool:
    return card.record is not None and bool(card.record["spec"].get("source"))


def _verdict(card: ModelCard) -> Iterator[str]:
    if not _is_transfer(card) or card.record is None:
        return
    record = card.record
    yield "## Transfer"
    score = record.get("source_score")
    reached = (
        f", which reached {number(float(score))} in its own task" if isinstance(score, int | float) else ""
    )
    after = f" trained for {record['source_steps']:,} steps" if record.get("source_steps") else ""
    frozen = (record.get("frozen") or {}).get("parts") or []
    yield f"From the source policy `{record['spec']['source']}`{after}{reached}."
    yield f"Frozen: {unmarked(', '.join(frozen)) or 'nothing'}."
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
        "Gains are normalised scores (r: raw returns), with their intervals. A verdict is about this way of "
        "training, over all its runs, not about this one file."
    )


def _loading(card: ModelCard) -> Iterator[str]:
    policy, where = card.policy, card.address
    yield "## Loading"
    yield _code(
        "bash",
        "pip install 'rl-transfer[hub]'",
        f"rl-transfer evaluate {where}",
        f"rl-transfer transfer target.yaml --source {where}   # a transfer config of yours",
    )
    yield _code("python", "import rl_transfer as rt", "", f'print(rt.evaluate("{where}"))')
    if policy.sb3:
        lines = [
            f"from {policy.package} import {policy.algorithm}",
            "",
            f'model = {policy.algorithm}.load("{policy.sb3}")',
        ]
        if policy.vec_normalize:
            lines += [
                "from stable_baselines3.common.vec_env import VecNormalize",
                f'env = VecNormalize.load("{policy.vec_normalize}", env)  # env: a VecEnv',
                "env.training = False",
            ]
        yield (
            "With Stable-Baselines3 alone, which unpickles what it loads and so runs whatever code is in it: "
            "only where you trust whoever published this. The lines above unpickle nothing."
        )
        yield _code("python", *lines)
    if policy.onnx:
        yield "Anywhere that ONNX runs; normalisation and the bounds of actions are in the graph:"
        yield _code(
            "python",
            "import numpy as np",
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{policy.onnx}")',
            "print([each.name for each in session.get_inputs()])",
            'given = observation if isinstance(observation, dict) else {"observation": observation}',
            "batch = {name: np.asarray(value)[None] for name, value in given.items()}",
            '(action,) = session.run(["action"], batch)',
        )


def literal(text: str) -> str:
    """A text as Markdown shows code, also in a table.

    Args:
        text: anything.

    Returns:
        One line between backticks.
    """
    flat = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{flat}`"


def _code(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: of its columns.
        rows: cells, Markdown themselves.

    Returns:
        A line per row.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
