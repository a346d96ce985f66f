"""The card of a published classifier: ``README.md`` with the header that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.analysis.success import share_interval
from rl_transfer.report.markdown import UNDEFINED, code, literal, table
from rl_transfer.report.run_card import (
    CONFIDENCE,
    WRITTEN_BY,
    RunCard,
    ending,
    over_runs,
    placeless_setting,
    training,
    transfer,
)
from rl_transfer.report.verdict_text import unmarked
from rl_transfer.results.published import PublishedClassifier
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.wording import listing

_DIGITS = 4
_CHOICES = ("shots", "validation", "test", "classes", "fingerprint")


@dataclass(frozen=True)
class TestScore:
    """How many items of a test part a classifier told right.

    Attributes:
        what: which items, and what to know of them.
        accuracy: share of them that it told right.
        items: how many they are; None: nobody recorded that.
        unused: whether training used none of them, so that an interval says something of others.
    """

    what: str
    accuracy: float
    items: int | None
    unused: bool = True

    @property
    def has_interval(self) -> bool:
        """Whether one can be given."""
        return self.items is not None and self.unused


@dataclass(frozen=True)
class ClassifierCard(RunCard):
    """Everything that the card of a classifier tells.

    Attributes:
        classifier: what was written.
        measured: on its test part, for this card; the header names it. None: it could not be.
        unmeasured: why it could not be measured, a sentence; empty where it was.
        confusion: ``confusion[true][predicted]`` of the items of ``measured``; None: the classes differ.
        recorded: what its run measured in the end; None: nothing.
    """

    classifier: PublishedClassifier
    measured: TestScore | None
    unmeasured: str
    confusion: Sequence[Sequence[int]] | None
    recorded: TestScore | None

    def text(self) -> str:
        """The whole card.

        Returns:
            Markdown under a YAML header.
        """
        body = "\n\n".join(part for part in _parts(self) if part)
        return f"---\n{yaml_text(_header(self))}---\n\n{body}\n"


def _header(card: ClassifierCard) -> dict[str, Json]:
    found_of = card.classifier
    tags: list[Json] = [*([found_of.task] if found_of.task else []), "rl-transfer", "safetensors"]
    tags += ["onnx"] * (found_of.graph is not None) + ["transfer-learning"] * card.is_transfer
    found: dict[str, Json] = {"library_name": "rl-transfer", "tags": tags}
    if found_of.task:
        found["pipeline_tag"] = found_of.task
    if card.licence is not None:
        found["license"] = card.licence
    if card.measured is not None and found_of.task:
        result: Json = {
            "task": {"type": found_of.task, "name": found_of.task.replace("-", " ").capitalize()},
            "dataset": {"name": found_of.data_name, "type": found_of.data_type, "split": "test"},
            "metrics": [
                {
                    "type": "accuracy",
                    "name": "Accuracy",
                    "value": round(card.measured.accuracy, _DIGITS),
                    "verified": False,
                }
            ],
        }
        found["model-index"] = [{"name": found_of.name, "results": [result]}]
    return found


def _parts(card: ClassifierCard) -> Iterator[str]:
    of = card.classifier
    yield f"# {unmarked(of.model)} on {unmarked(of.data_name)}"
    yield (
        f"{of.classifier[0].upper()}{of.classifier[1:]} ({unmarked(of.model)}, {of.parameters:,} parameters; "
        f"inputs {unmarked(of.inputs)}). {WRITTEN_BY}"
    )
    yield from _scores(card)
    yield from _data(card)
    yield from training(card, "classifier")
    yield from _weights(card)
    yield from transfer(card, "classifier", "epochs", [*_across(card)])
    yield from _loading(card)
    yield from ending(card, of)


def _scores(card: ClassifierCard) -> Iterator[str]:
    yield "## Scores"
    if card.unmeasured:
        yield f"Not measured for this card: {unmarked(card.unmeasured)}."
    found = [each for each in (card.measured, card.recorded) if each is not None]
    items = card.classifier.items
    if found:
        rows = [_row(each) for each in found] + [*_beside(card)]
        yield table(("accuracy of", "accuracy", "95 % interval", "told right"), rows)
    if any(each.has_interval for each in found):
        yield (
            f"Intervals are Wilson's, over the {items} of one test part and for this one classifier: they "
            f"hold for {items} drawn like these, independently of each other, and say nothing of other seeds "
            "of training or of other data. Training chooses nothing by the test part (`keep: best` and early "
            "stopping look at the validation part). Whoever trained several classifiers and published the "
            "best of them by these figures did choose by it, and then they are too high."
        )
    if not all(each.has_interval for each in found):
        yield (
            f"A dash stands where no interval can be given: of a validation part, of {items} some of which "
            "were trained on, or where nobody recorded how many they were."
        )
    if card.measured is not None and card.confusion is not None:
        yield "Class by class, of the first row (each interval by itself):"
        yield table((f"class of the {items}", "accuracy", "95 % interval", "told right"), [*_classes(card)])
    runs = [] if card.sweep is None else [*over_runs(card.sweep, _DIGITS)]
    if runs:
        head = ("accuracy over runs", "mean", "95 % interval", "standard deviation", "least", "greatest")
        yield table(head, runs)
        yield (
            "Over runs with other seeds on one test part, and so about training, not about this one file. A "
            "dash stands where nothing varied, or there was one run."
        )


def _row(score: TestScore) -> tuple[str, ...]:
    what = unmarked(score.what)
    if score.items is None:
        return what, f"{score.accuracy:.{_DIGITS}f}", UNDEFINED, UNDEFINED
    accuracy, ends, right = _share(round(score.accuracy * score.items), score.items)
    return what, accuracy, ends if score.has_interval else UNDEFINED, right


def _share(hits: int, items: int) -> tuple[str, str, str]:
    found = share_interval(hits, items, CONFIDENCE)
    ends = f"{found.low:.{_DIGITS}f} to {found.high:.{_DIGITS}f}"
    return f"{found.point:.{_DIGITS}f}", ends, f"{hits:,} of {items:,}"


def _classes(card: ClassifierCard) -> Iterator[tuple[str, ...]]:
    for index, name in enumerate(card.classifier.classes or ()):
        row = (card.confusion or ())[index]
        if sum(row):
            yield (literal(name), *_share(row[index], sum(row)))


def _beside(card: ClassifierCard) -> Iterator[tuple[str, ...]]:
    """What is had without this classifier."""
    sizes = [sum(row) for row in card.confusion or ()]
    if card.measured is not None and sizes:
        yield "always the most frequent class of these", f"{max(sizes) / sum(sizes):.{_DIGITS}f}", "", ""
    if card.classifier.classes:
        yield "a guess among all classes", f"{1 / len(card.classifier.classes):.{_DIGITS}f}", "", ""
    record = card.record or {}
    probe, reference = record.get("probe") or {}, record.get("reference") or {}
    if isinstance(probe.get("accuracy"), float):
        what = "a converged linear probe on the features that training started from, in its run"
        yield what, f"{probe['accuracy']:.{_DIGITS}f}", "", ""
    if isinstance(reference.get("accuracy"), float):
        what = f"{unmarked(str(reference.get('name')))} on the same labels, in its run"
        yield what, f"{reference['accuracy']:.{_DIGITS}f}", "", ""


def _data(card: ClassifierCard) -> Iterator[str]:
    of = card.classifier
    yield "## Data"
    rows = []
    if of.data is not None:
        data = of.data
        said = {key: value for key, value in data.items() if key not in _CHOICES and value not in (None, {})}
        shots, share = data.get("shots"), data.get("validation")
        root_seed, seed = of.seeds
        rows = [
            ("data", literal(_placeless(said))),
            ("labelled", f"{shots} {of.items} a class" if shots else f"all {of.items} that are not held out"),
            ("validation", f"{share:g} of the labelled {of.items} of each class" if share else "none"),
            ("held out", f"{data.get('test', 0):g} of each class, or the data's own test part"),
            ("split by", f"root seed {root_seed}, seed {seed}"),
            ("digest of its files", literal(str(data["fingerprint"])) if data.get("fingerprint") else "none"),
        ]
    rows += [*_counts(card.record, of.items)]
    if of.classes is not None:
        rows.append((f"{len(of.classes)} classes", unmarked(listing([*of.classes], 50))))
    yield table(("", ""), rows) if rows else "Nobody said what it was trained on."
    yield (
        f"The {of.items} themselves are not here; their licence is their publisher's. `bundle.json` says "
        "where they lay."
    )
    if of.seen is not None:
        yield (
            f"`bundle.json` holds a digest of each of the {of.seen:,} {of.items} that it, or its source, was "
            f"trained on or stopped by: `rl-transfer evaluate` leaves them out. Who has one of these "
            f"{of.items} can tell from it that it was among them."
        )


def _placeless(settings: Mapping[str, Json]) -> str:
    return ", ".join(f"{key}: {placeless_setting(key, value)}" for key, value in settings.items())


def _counts(record: JsonObject | None, items: str) -> Iterator[tuple[str, str]]:
    """How many items every part of the split had."""
    data = (record or {}).get("data") or {}
    parts = data.get(items)
    if isinstance(parts, Mapping):
        yield items, ", ".join(f"{sum(each):,} {name}" for name, each in parts.items())
    if data.get("skipped"):
        yield "left out", f"{len(data['skipped']):,} that cannot be decoded"


def _weights(card: ClassifierCard) -> Iterator[str]:
    """What began with somebody else's weights."""
    given = card.classifier.weights or ((card.record or {}).get("spec") or {}).get("weights")
    if given:
        told = {key: value for key, value in given.items() if value not in (None, False)}
        what = "It consists of" if card.classifier.weights else "Training began with"
        said = unmarked(_placeless(told))
        yield f"{what} weights from elsewhere ({said}); their licence holds beside any given here."


def _across(card: ClassifierCard) -> Iterator[str]:
    """What the run measured on source and target."""
    record, items = card.record or {}, card.classifier.items
    seen, before, back = (record.get(name) or {} for name in ("seen_by_source", "zero_shot", "retention"))
    if seen:
        yield f"Of the {seen['items']:,} test {items} the source had been trained on {seen['seen']:,}."
    if before.get("returns"):
        yield f"The source as it was reached {before['returns'][0]:.{_DIGITS}f} on this test part."
    if back.get("returns") and back.get("source_returns"):
        head = "" if back.get("head") == "final" else ", with the source's own head"
        yield (
            f"Back on the source's test part it reaches {back['returns'][0]:.{_DIGITS}f}{head}; the source "
            f"itself {back['source_returns'][0]:.{_DIGITS}f}."
        )


def _loading(card: ClassifierCard) -> Iterator[str]:
    of, where = card.classifier, card.address
    extras = [
        "hub",
        *([of.kind] if of.task else []),
        *(each for each in ("timm", "keras") if each in of.model),
    ]
    yield "## Loading"
    yield code(
        "bash",
        f"pip install 'rl-transfer[{','.join(extras)}]'",
        f"rl-transfer policies inspect {where}",
        f"rl-transfer evaluate {where} --data data.yaml   # data of yours with these classes",
        f"rl-transfer transfer target.yaml --source {where}   # a transfer config of kind {of.kind}",
    )
    yield code("python", "import rl_transfer as rt", "", f'print(rt.evaluate("{where}", data="data.yaml"))')
    yield of.elsewhere.text
    if of.elsewhere.lines:
        yield code("python", *of.elsewhere.lines)
    if of.graph is not None:
        yield of.graph.text
        yield code("python", *of.graph.lines)
