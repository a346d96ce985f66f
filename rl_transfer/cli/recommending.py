"""``recommend``: which source is worth a transfer, before one is paid for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_transfer.api.given import make_folder_importable, refuse_missing
from rl_transfer.cli.common import Modules, err, json_alone, out
from rl_transfer.errors import ConfigError
from rl_transfer.wording import did_you_mean, in_words

if TYPE_CHECKING:
    from rl_transfer.analysis.recommendation import Candidate, Recommended
    from rl_transfer.frame.scores import SourceScores
    from rl_transfer.spec.base import Json

LEAST = "at least twice the longest episode of the target; it is named where this is too little"


def recommend(
    target: Annotated[
        str,
        typer.Option(
            "--target", "-t", help="Gymnasium id, shipped target or YAML file; for classifiers their data."
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Bundles, run folders, SB3 zips, hf://org/repository."),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--sources", "-s", help="The same; all that follow without an option count."),
    ] = None,
    budget: Annotated[
        int, typer.Option(min=1, help=f"Samples of the target that each source may use: {LEAST}.")
    ] = 2048,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Weights and gains of finished sweeps, as `rl-transfer calibrate` writes them.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Rank by this score alone, e.g. predicted_gain; default: by the combined score.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Kind of the sources where neither bundle nor name tells it: image, text.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Root seed of the episodes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every score.")] = False,
    module: Modules = None,
) -> None:
    """Rank sources for a target before anything is trained.

    Each source is scored from a few steps of the target (docs/choosing-a-source.md). Says which of them is
    likely to do harm, which cannot act there, and what was assumed.

    Example: rl-transfer recommend --target cartpole-longer-pole --sources results/cartpole results/other
    """
    sources = [*(sources or []), *(more or [])]
    if not sources:
        raise ConfigError(
            "no source is named; give bundles, run folders, SB3 zips or hf:// names after --sources"
        )
    places = [each if "://" in each else str(Path(each)) for each in sources]
    twice = [each for index, each in enumerate(sources) if places[index] in places[:index]]
    if twice:
        raise ConfigError(f"the source {twice[0]} is given twice; name each once")
    for each in sources:
        refuse_missing(each, kind or ("image" if _is_backbone(each) else "rl"))

    from rl_transfer.analysis.recommendation import (
        ScoreWeights,
        read_weights,
        recommend,
        recommendation_lines,
    )
    from rl_transfer.api.known_gains import read_known_gains
    from rl_transfer.api.predicted_gain import gain_predictor, predicted_lines
    from rl_transfer.frame.scores import HIGHER_IS_BETTER, PREDICTED, ScoringRequest
    from rl_transfer.spec.scores import MOST_SAMPLES
    from rl_transfer.sweep.dispatch import KINDS, bundle_kind, room

    if budget > MOST_SAMPLES:
        raise ConfigError(
            f"--budget {budget:,}: at most {MOST_SAMPLES:,}, for all samples are kept in memory"
        )
    if by is not None and by not in HIGHER_IS_BETTER:
        raise ConfigError(
            f"--by {by!r}: expected {in_words([*HIGHER_IS_BETTER], 'or')}."
            f"{did_you_mean(by, HIGHER_IS_BETTER)}"
        )
    weights = read_weights(calibration, [*HIGHER_IS_BETTER])
    if by is not None:
        weights = ScoreWeights({by: 1.0})
    gains = [] if calibration is None else read_known_gains(calibration)
    if by == PREDICTED and not gains:
        raise ConfigError(
            f"--by {PREDICTED} needs the gains of finished sweeps: give --calibration a file that this "
            "version's `rl-transfer calibrate` wrote of sweeps whose sources and targets are environments"
        )
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"--kind {kind!r}: expected {in_words(list(KINDS), 'or')}")
    kinds = {each: kind or ("image" if _is_backbone(each) else bundle_kind(each)) for each in sources}
    other = next((each for each in sources if kinds[each] != kinds[sources[0]]), None)
    if other is not None:
        raise ConfigError(
            f"{sources[0]} is of kind {kinds[sources[0]]} and {other} of kind {kinds[other]}; "
            "sources of one kind are ranked"
        )
    kind = kinds[sources[0]]
    make_folder_importable(target)

    def say(text: str) -> None:
        err.print(text, soft_wrap=True)

    with json_alone() if as_json else nullcontext() as write:
        request = ScoringRequest(target, budget, seed, gain_predictor(gains) if gains else None)
        scored = dict(zip(sources, room(kind).score_sources(sources, request, say), strict=True))
        found = recommend([_candidate(name, each) for name, each in scored.items()], weights)
        if write is not None:
            write(json.dumps({"by": by} | _plain(found, scored, target, budget), indent=2))
            return
    steps = {name: each.steps for name, each in scored.items()}
    for line in recommendation_lines(found, steps):
        out.print(line, soft_wrap=True)
    for line in predicted_lines(scored):
        out.print(line, soft_wrap=True)
    for name, scores in scored.items():
        for score, value in scores.scores.items():
            if value.value is None and not scores.cannot_act:
                out.print(f"  {name} has no {score}: {value.reason}", soft_wrap=True)
        for note in scores.notes:
            out.print(f"  note on {name}: {note}", soft_wrap=True)
    out.print(_assumed(calibration, by), soft_wrap=True)


def _is_backbone(source: str) -> bool:
    return source.startswith(("torchvision/", "timm/")) and not Path(source).exists()


def _candidate(name: str, scores: SourceScores) -> Candidate:
    from rl_transfer.analysis.recommendation import Candidate
    from rl_transfer.frame.scores import HIGHER_IS_BETTER

    return Candidate(
        name,
        {key: each.value for key, each in scores.scores.items() if each.value is not None},
        frozenset(key for key, higher in HIGHER_IS_BETTER.items() if not higher),
        scores.returns,
        scores.random_returns,
        scores.cannot_act,
    )


def _assumed(calibration: Path | None, by: str | None) -> str:
    if by is not None:
        return (
            f"Sources are ranked by {by} alone: the combined score is its standing, from -1 (last) to +1 "
            "(first), 0 without one. Nothing was trained: that a source stands first does not say that it "
            "helps."
        )
    weighed = (
        "every score that tells the sources apart weighs the same, which nothing has shown to be right"
        if calibration is None
        else f"the weights are those of {calibration}; they hold for sweeps like those that they rest on"
    )
    return (
        "The combined score is the weighted sum of standings, in brackets, from -1 (last) to +1 (first); "
        f"{weighed}. Nothing was trained: that a source stands first does not say that it helps."
    )


def _plain(
    found: Sequence[Recommended], scored: Mapping[str, SourceScores], target: str, budget: int
) -> dict[str, Json]:
    return {
        "target": target,
        "budget": budget,
        "sources": [
            {
                "source": each.candidate.name,
                "place": each.place,
                "combined": each.combined,
                "standings": {**each.standings},
                "likely_negative": each.warning or None,
                "negative_probability": each.negative,
                "cannot_act": each.candidate.cannot_act or None,
                "notes": [*scored[each.candidate.name].notes],
                **scored[each.candidate.name].plain(),
            }
            for each in found
        ],
    }
