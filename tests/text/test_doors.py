"""Texts go through every door: train, transfer, evaluate, inspect, a sweep and its report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from rl_transfer.analysis import analyse, read_sweep, summary
from rl_transfer.report import write_report
from rl_transfer.results import RunFolder, find_run, run_id
from rl_transfer.spec import load
from rl_transfer.spec.text import TextSuite, TextTrainConfig
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.splits import Splits
from rl_transfer.sweep.dispatch import SUITES, TRAIN, bundle_kind
from rl_transfer.sweep.sweep import prepare, run_sweep
from rl_transfer.text.data import Texts
from rl_transfer.text.room import TEXTS, _texts
from support.cli import Call
from support.sweeps import InThisProcess

STRATEGIES = (
    "fine-tune", "new-head", "frozen-trunk-new-head", "gradual-unfreezing", "discriminative-rates",
    "low-rank", "l2-sp", "ewc", "random-frozen", "shuffled-source", "shuffled-frozen", "partial-copy",
    "partial-freeze", "shrink-and-perturb", "kickstarting",
)  # fmt: skip


def suite(*overrides: str) -> TextSuite:
    found = load("./suite.yaml", SUITES, "suites", list(overrides)).config
    assert isinstance(found, TextSuite)
    return found


def trained() -> TextTrainConfig:
    found = load("./films.yaml", TRAIN, "train", []).config
    assert isinstance(found, TextTrainConfig)
    return found


def test_train_transfer_evaluate_and_inspect(call: Call, place: Path) -> None:
    first = call("train", "./films.yaml", "-o", "source")
    assert first.code == 0, first.err
    assert find_run(place / "source").curve()[-1]["returns"][0] > 0.9
    assert bundle_kind("source") == "text"

    moved = call("transfer", "./phones.yaml", "--source", "source", "-o", "target")
    assert moved.code == 0, moved.err
    before, after = (load_network(TEXTS, place / name).state for name in ("source", "target"))
    # The default strategy keeps the encoder bit for bit under a new head.
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        "head.weight",
        "head.bias",
    }
    record = find_run(place / "target").record()
    assert record["cached_features"] is True
    assert record["frozen"]["digest_before"] == record["frozen"]["digest_after"]
    assert record["retention"]["head"] == "final"  # both tasks have the same classes
    assert record["data"]["texts"] == {"train": [30, 30], "test": [10, 10]}
    assert record["data"]["truncated"] == {"max_tokens": 16, "train": 0.0, "test": 0.0}
    assert record["probe"]["features"] == 16
    splits = TEXTS.split(trained().data.model_copy(update={"path": "phones.csv"}).planned(), 0, 0)
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    fitted = LogisticRegression(C=10.0, max_iter=1000).fit(
        words.fit_transform(_texts(splits.train)), splits.train.labels
    )
    expected = fitted.score(words.transform(_texts(splits.test)), splits.test.labels)
    assert record["reference"] == {"name": "TF-IDF with logistic regression", "accuracy": expected}

    shutil.rmtree(place / "encoder")  # a bundle needs no other file
    measured = call("evaluate", "target", "--json")
    assert measured.code == 0, measured.err
    result = json.loads(measured.out)
    assert (result["texts"], result["classes"]) == (20, ["bad", "good"])
    assert result["accuracy"] == find_run(place / "target").curve()[-1]["returns"][0]
    assert sum(map(sum, result["confusion"])) == 20
    told = call("policies", "inspect", "source").out
    assert all(part in told for part in ("embeddings", "encoder.0", "encoder.1", "head"))


def test_counted_words_are_those_of_the_texts_to_learn_from() -> None:
    """Words of the test text, had they been counted, would drown the one that tells its class."""

    def labelled(texts: tuple[str, ...], labels: list[int]) -> LabelledSet:
        return LabelledSet(np.array(labels), Texts(texts))

    train = labelled(("poor", "good", "fine", "neat", "great"), [0, 1, 1, 1, 1])
    test = labelled((" ".join(["poor", *(f"word{i}" for i in range(40))]),), [0])
    found = TEXTS.reference(Splits(("bad", "good"), train, None, test, train))
    assert found is not None
    assert found.accuracy == 1.0


def test_every_strategy_runs_on_texts_and_what_is_frozen_stays(call: Call, place: Path) -> None:
    names = ", ".join(("scratch", *STRATEGIES))
    plan = prepare(
        suite(f"strategies=[{names}]", "sources={films: {data: films.csv, bar: 0.1}}"), place / "out"
    )
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert not state.failed, state.failed
    ends = {}
    for row in json.loads((place / "out" / "sweep.json").read_text(encoding="utf-8"))["runs"]:
        if row["target"] and row["strategy"]:
            ends[row["strategy"]] = RunFolder(place / "out" / "runs" / row["id"]).record()
    assert set(ends) == {"scratch", *STRATEGIES}
    cached = {name for name, record in ends.items() if record["cached_features"]}
    assert cached == {"frozen-trunk-new-head", "random-frozen", "shuffled-frozen"}
    frozen = [record["frozen"] for record in ends.values() if record["frozen"]]
    assert len(frozen) >= 5
    assert all(each["digest_before"] == each["digest_after"] for each in frozen)
    thaws = [step["parts"] for step in ends["gradual-unfreezing"]["thaws"]]
    assert thaws == [["encoder.1"], ["encoder.0"], ["embeddings"]]  # Howard & Ruder: from the output down
    cells = summary(analyse(read_sweep(place / "out")))
    assert {cell["strategy"] for cell in cells} == set(STRATEGIES) | {"scratch"}
    assert all(cell["metrics"]["reference_accuracy"]["n"] == 1 for cell in cells)
    page = write_report(place / "out").page.read_text(encoding="utf-8")
    assert "test texts" in page
    assert "simple reference model" in page
    assert (RunFolder(place / "out" / "runs" / plan.graph.specs.popitem()[0]).path).exists()
    assert (
        len(list((place / "out").rglob("confusion.png")))
        == len(list((place / "out").rglob("predictions.png")))
        > 9
    )


def test_a_published_encoder_is_a_source_and_its_head_is_nobodys(call: Call, place: Path) -> None:
    plan = prepare(
        suite("sources={hub: {weights: encoder}}", "strategies=[scratch, frozen-trunk-new-head]"),
        place / "out",
    )
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert not state.failed, state.failed
    records = [RunFolder(path).record() for path in (place / "out" / "runs").iterdir()]
    (source,) = (each for each in records if each.get("pretrained"))
    assert source["pretrained"]["weights"]["head"] == "absent"
    assert source["measured"] is False


def test_sources_are_scored_on_shots_where_they_have_a_score(place: Path) -> None:
    plan = prepare(suite("scores={steps: 8}"), place / "out")
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert not state.failed, state.failed
    rows = [row for row in plan.graph.rows if row.role == "scores"]
    found = {row.source: RunFolder(place / "out" / "runs" / row.id).record()["source_scores"] for row in rows}
    assert {name: each["steps"] for name, each in found.items()} == {"films": 8, "hub": 8}
    values = {
        name: {k for k, v in each["scores"].items() if v["value"] is not None} for name, each in found.items()
    }
    assert values["hub"] == {"logme", "linear_probe"}
    assert values["films"] == {*found["films"]["scores"]}


def test_another_tokenizer_or_config_is_another_run_and_a_readme_is_not(place: Path) -> None:
    before = run_id(trained().run())
    (place / "encoder" / "README.md").write_text("hello", encoding="utf-8")
    assert run_id(trained().run()) == before
    path = place / "encoder" / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"lowercase": true', '"lowercase": false'), encoding="utf-8")
    changed = run_id(trained().run())
    assert changed != before
    config = place / "encoder" / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("0.3", "0.2"), encoding="utf-8")
    assert run_id(trained().run()) not in (before, changed)


def test_weights_are_not_copied_behind_another_tokenizer(call: Call, place: Path) -> None:
    assert call("train", "./films.yaml", "training.epochs=0", "evaluation.every=1", "-o", "source").code == 0
    path = place / "encoder" / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"good"', '"goodness"'), encoding="utf-8")
    for strategy in ([], ["strategy=kickstarting"]):
        refused = call("transfer", "./phones.yaml", *strategy, "-s", "source", "-o", "target")
        assert refused.code != 0
        assert "the source saw texts with tokenizer" in refused.err
        assert "set model.input.tokenizer" in refused.err


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (
            "targets.phones.data.shots=50",
            "targets.phones.data.shots",
            "class 'bad' has 30 texts to learn from",
        ),
        ("sources.films.data=absent.csv", "sources.films.data.path", "no such file or folder"),
        ("strategies=[scratch, {name: x, copy: [encoder.7]}]", "strategies.1.copy.0", "encoder.7"),
        (
            "sources.hub.weights={file: encoder, sha256: '0123456789'}",
            "sources.hub.weights.sha256",
            "begins with",
        ),
        ("sources.hub.weights=nowhere/here", "sources.hub.weights.file", "hf download nowhere/here"),
        ("model.input.max_tokens=64", "model.input.max_tokens", "the encoder has 40 positions"),
    ],
)
def test_what_would_fail_later_is_refused_before(call: Call, change: str, key: str, message: str) -> None:
    refused = call("sweep", "./suite.yaml", change, "-o", "out", "--dry-run")
    assert refused.code != 0
    assert message in " ".join(refused.err.split())
    assert key in refused.err
