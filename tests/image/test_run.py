"""One image run, end to end: the textbook loop, determinism, freezing that holds, the record."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from rl_transfer import core
from rl_transfer.errors import BundleError, TransferError
from rl_transfer.frame import EvaluationRequest, FoundSource
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.spec import StrategyConfig, StrategyVerbs, shipped
from rl_transfer.spec.yaml_map import read_yaml
from rl_transfer.supervised import seeds
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.figures import confusion_matrix
from rl_transfer.supervised.predictions import Predictions
from support.events import scalar_tags
from support.image import TRAINING, Execute, make_run, save_arrays, stripes
from support.untyped import untyped

FROZEN = {"copy": ["trunk"], "freeze": ["trunk"]}
FINE_TUNE = {"copy": ["trunk"]}
LONG = {**TRAINING, "epochs": 12, "optimizer": {"name": "SGD", "learning_rate": 0.05}}


def scores(folder: RunFolder) -> list[float]:
    return [point["returns"][0] for point in folder.curve()]


def loaded(folder: RunFolder) -> Network:
    return load_network(IMAGES, folder.bundle)


def measured(folder: RunFolder) -> object:
    return ROOM.evaluate(str(folder.bundle), EvaluationRequest()).data["accuracy"]


@pytest.fixture
def source(run: Execute) -> RunFolder:
    return run()


def changed(**fields: Any) -> dict[str, Any]:
    return {**TRAINING, **fields}


def test_a_scratch_run_ends_with_the_weights_of_a_plain_torch_loop(run: Execute, arrays: Path) -> None:
    optimizer = {"name": "SGD", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.001}
    schedule = {"name": "step", "every": 2, "factor": 0.1}
    training = changed(optimizer=optimizer, schedule=schedule, label_smoothing=0.1)
    ours = loaded(run(training=training))

    spec = make_run(arrays, training=training)
    assert spec.data is not None
    assert spec.model is not None
    splits = IMAGES.split(spec.data, 0, 0)
    classifier = IMAGES.build_classifier(spec.model, 3, seeds.network_seed(spec))
    model, prepare = classifier.module, classifier.preprocessing
    images = torch.stack([prepare(splits.train.load(i)) for i in range(len(splits.train))])
    labels = torch.from_numpy(splits.train.labels)
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.001)
    decay = torch.optim.lr_scheduler.StepLR(sgd, step_size=2, gamma=0.1)
    model.train()
    for epoch in range(4):
        # 45 images, 16 at a time: 16, 16, 13.
        order = np.random.default_rng([seeds.training_seed(spec), epoch]).permutation(45)
        for batch in np.split(order, [16, 32]):
            sgd.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch], label_smoothing=0.1).backward()
            sgd.step()
        decay.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, ours.state[name]), name


def test_the_same_run_twice_is_the_same_to_the_bit_and_leaves_no_trace(run: Execute) -> None:
    state = torch.get_rng_state()
    numpy_state = untyped(np.random.get_state())[1].tolist()  # noqa: NPY002
    first, second = run(store="a"), run(store="b")
    assert scores(first) == scores(second)
    assert first.record()["weights_digest"] == second.record()["weights_digest"]
    assert first.record()["weights_digest"] != run(seed=1).record()["weights_digest"]
    assert torch.equal(torch.get_rng_state(), state)
    assert untyped(np.random.get_state())[1].tolist() == numpy_state  # noqa: NPY002


def test_evaluating_less_often_does_not_change_training(run: Execute) -> None:
    often, rare = run(), run(evaluation={"every": 4, "batch_size": 7})
    assert [point["step"] for point in often.curve()] == [0, 1, 2, 3, 4]
    assert [point["step"] for point in rare.curve()] == [0, 4]
    assert often.record()["weights_digest"] == rare.record()["weights_digest"]


def test_the_curve_ends_with_the_accuracy_of_the_bundle(run: Execute) -> None:
    folder = run(training=LONG)
    assert measured(folder) == scores(folder)[-1]
    assert scores(folder)[-1] > 0.9


def test_frozen_tensors_stay_and_the_head_moves(run: Execute, source: RunFolder) -> None:
    target = run(strategy=FROZEN, source=source, seed=1)
    before, after = loaded(source).state, loaded(target).state
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) != name.startswith("head."), name
    record = target.record()
    assert record["frozen"]["digest_before"] == record["frozen"]["digest_after"]
    # Two stages of a width-4 network end with 8 channels: 8 × 3 weights and 3 biases.
    assert record["parameters"]["trainable"] == 27


def test_a_frozen_backbone_keeps_the_sources_accuracy_where_moving_statistics_lose_it(
    run: Execute, tmp_path: Path
) -> None:
    training = LONG
    source = run(training=training)
    inverted = save_arrays(tmp_path / "inverted.npz", names=("x", "y", "z"), invert=True)
    held = run(data=inverted, training=training, strategy=FROZEN, source=source).record()["retention"]
    moving = {**FROZEN, "norm": "adapt"}
    adapted = run(data=inverted, training=training, strategy=moving, source=source).record()["retention"]
    assert held["head"] == adapted["head"] == "source"
    assert held["returns"] == held["source_returns"]
    assert held["returns"][0] > 0.9
    assert adapted["returns"][0] < 0.6


def test_adapting_statistics_follow_the_target_while_weights_stay(
    run: Execute, source: RunFolder, inverted: Path
) -> None:
    target = run(data=inverted, strategy={**FROZEN, "norm": "adapt"}, source=source)
    before, after = loaded(source).state, loaded(target).state
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved == {n for n in after if "running" in n or "num_batches" in n or n.startswith("head.")}
    assert target.record()["cached_features"] is False


def test_cached_features_give_the_same_numbers(run: Execute, source: RunFolder) -> None:
    cached = run(strategy=FROZEN, source=source, seed=1)
    plain = run(strategy=FROZEN, source=source, seed=1, training=changed(cache_features="never"))
    assert cached.record()["cached_features"] is True
    assert plain.record()["cached_features"] is False
    assert scores(cached) == scores(plain)
    ours, theirs = loaded(cached).state, loaded(plain).state
    for name, tensor in ours.items():
        # The trunk's rounding depends on the batch that an image is in; 4 epochs keep that at 1e-6.
        assert torch.allclose(tensor, theirs[name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("change", [{"augmentation": {"horizontal_flip": 0.5}}, {"precision": "bfloat16"}])
def test_features_are_not_cached_where_images_or_precision_change(
    run: Execute, source: RunFolder, change: dict[str, Any]
) -> None:
    folder = run(strategy=FROZEN, source=source, training=changed(**change))
    assert folder.record()["cached_features"] is False
    assert scores(folder)[-1] > 0.5


def test_a_new_head_is_the_head_that_scratch_starts_with(run: Execute, source: RunFolder) -> None:
    target = run(strategy=FINE_TUNE, source=source, seed=1)
    actions = {row["tensor"]: row["action"] for row in target.record()["plan"]}
    assert actions["head.weight"] == "reset"
    assert actions["stem.conv.weight"] == "copied"
    assert actions["stem.norm.running_mean"] == "copied"


def test_zero_shot_is_the_untouched_source(run: Execute, source: RunFolder) -> None:
    target = run(strategy={"copy": ["all"]}, source=source, seed=1)
    assert target.record()["zero_shot"]["returns"] == [scores(target)[0]]


def test_zero_shot_by_class_name_whatever_the_order(run: Execute, arrays: Path, tmp_path: Path) -> None:
    source = run(training=LONG)
    fewer = {"name": "arrays", "path": str(arrays), "classes": ["c", "a"]}
    record = run(data=fewer, strategy=FINE_TUNE, source=source).record()
    assert record["zero_shot"]["returns"][0] > 0.8
    other = {"name": "arrays", "path": str(save_arrays(tmp_path / "o.npz", ("a", "b", "q")))}
    assert run(data=other, strategy=FINE_TUNE, source=source).record()["zero_shot"] is None


def test_a_head_is_not_copied_across_other_classes(run: Execute, source: RunFolder, tmp_path: Path) -> None:
    other = save_arrays(tmp_path / "other.npz", names=("a", "c", "b"))
    with pytest.raises(TransferError, match=r"but the classes differ: .*\(a, b, c\).*\(a, c, b\)"):
        run(data=other, strategy={"copy": ["all"]}, source=source)
    lenient = {"copy": ["all"], "reset_on_mismatch": ["head"]}
    rows = run(data=other, strategy=lenient, source=source).record()["plan"]
    assert {row["action"] for row in rows if row["part"] == "head"} == {"reset"}


def test_what_the_record_says_of_the_source(run: Execute, source: RunFolder) -> None:
    record = run(strategy=FINE_TUNE, source=source, seed=1).record()
    assert record["source_run"] == source.path.name
    assert record["source_steps"] == 4
    assert record["source_score"] == scores(source)[-1]
    assert record["data"]["classes"] == ["a", "b", "c"]
    assert record["data"]["images"] == {"train": [15] * 3, "test": [5] * 3}
    text = (source.path / "record.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_chance_is_one_over_the_classes(run: Execute) -> None:
    folder = run(policy="random", model=None, training=None, strategy=None)
    assert scores(folder) == [1 / 3]
    assert not folder.bundle.exists()


def test_gradual_unfreezing_goes_from_the_output_down(run: Execute, source: RunFolder) -> None:
    gradual = {**FROZEN, "gradual": {"start": 0.25, "end": 0.75}}
    record = run(strategy=gradual, source=source, seed=1).record()
    # Three stages thaw at 0.25, 0.5 and 0.75 of 4 epochs.
    assert record["thawed"] == [
        {"epoch": 1, "parts": ["stage2"]},
        {"epoch": 2, "parts": ["stage1"]},
        {"epoch": 3, "parts": ["stem"]},
    ]
    assert record["frozen"]["tensors"] == []
    assert record["cached_features"] is False


def test_learning_rates_per_part_scale_the_first_update(run: Execute, arrays: Path) -> None:
    training = changed(
        epochs=1, batch_size=64, optimizer={"name": "SGD", "learning_rate": 0.01, "momentum": 0.0}
    )
    one = loaded(run(training=training)).state
    rates = {"learning_rates": {"head": 3.0, "stem": 0.5}}
    other = loaded(run(training=training, strategy=rates)).state
    spec = make_run(arrays)
    assert spec.model is not None
    start = IMAGES.build_classifier(spec.model, 3, seeds.network_seed(spec)).module.state_dict()
    for name, factor in (("head.weight", 3.0), ("stem.conv.weight", 0.5), ("stages.0.0.conv1.weight", 1.0)):
        step, scaled = one[name] - start[name], other[name] - start[name]
        assert torch.allclose(scaled, factor * step, rtol=1e-3, atol=1e-7), name


@pytest.mark.parametrize("anchor", [{"kind": "l2_sp", "strength": 10.0}, {"kind": "ewc", "strength": 1000.0}])
def test_an_anchor_holds_the_trunk_nearer_to_the_source(
    run: Execute, source: RunFolder, anchor: dict[str, Any]
) -> None:
    training = changed(epochs=8, optimizer={"name": "SGD", "learning_rate": 0.002, "momentum": 0.0})
    start = loaded(source).state

    def distance(strategy: dict[str, Any]) -> float:
        state = loaded(run(strategy=strategy, source=source, seed=1, training=training)).state
        names = [name for name in state if name.endswith("conv1.weight")]
        return float(sum((state[name] - start[name]).square().sum() for name in names))

    assert distance({**FINE_TUNE, "anchor": anchor}) < 0.9 * distance(FINE_TUNE)


def test_a_shuffled_source_has_its_values_but_not_its_places(run: Execute, source: RunFolder) -> None:
    training = changed(epochs=0)
    shuffled = {**FINE_TUNE, "initial": {"kind": "shuffled"}}
    state = loaded(run(strategy=shuffled, source=source, training=training)).state
    before = loaded(source).state
    weight, original = state["stages.1.0.conv1.weight"], before["stages.1.0.conv1.weight"]
    assert not torch.equal(weight, original)
    assert torch.equal(weight.flatten().sort().values, original.flatten().sort().values)


def test_low_rank_adapters_are_folded_into_the_bundle(run: Execute, source: RunFolder) -> None:
    strategy = {**FROZEN, "low_rank": {"parts": ["stage2"], "rank": 2}}
    folder = run(strategy=strategy, source=source, seed=1)
    assert measured(folder) == pytest.approx(scores(folder)[-1])
    before, after = loaded(source).state, loaded(folder).state
    assert not torch.equal(before["stages.1.0.conv1.weight"], after["stages.1.0.conv1.weight"])
    assert torch.equal(before["stem.conv.weight"], after["stem.conv.weight"])


def test_kickstarting_listens_to_the_source(run: Execute) -> None:
    source = run(training=changed(epochs=8))
    base = changed(epochs=1)
    taught = run(strategy={"kickstart": {"strength": 5.0, "until": 1.0}}, source=source, training=base)
    assert taught.record()["plan"][0]["action"] != "copied"
    assert taught.record()["weights_digest"] != run(training=base).record()["weights_digest"]


def test_kickstarting_ends_where_it_is_said_to(run: Execute, tmp_path: Path) -> None:
    # The teacher has learned other names for the same images; who listens to the end answers as it does.
    images, labels = stripes(60)
    np.savez(
        tmp_path / "renamed.npz", images=images, labels=(labels + 1) % 3, classes=np.array(["a", "b", "c"])
    )
    teacher = run(tmp_path / "renamed.npz", training=LONG)
    assert scores(teacher)[-1] > 0.9

    def accuracy(until: float) -> float:
        strategy = {"kickstart": {"strength": 20.0, "until": until}}
        return scores(run(strategy=strategy, source=teacher, training=LONG))[-1]

    assert accuracy(0.25) > 0.9
    assert accuracy(1.0) < 0.5


def test_verbs_of_reinforcement_learning_are_refused_with_a_reason(run: Execute) -> None:
    with pytest.raises(TransferError, match=r"uses critic_warm_up, .*there is no critic"):
        run(strategy={"critic_warm_up": 0.2})


REFUSED = {
    "adapt-to-spaces", "critic-warm-up", "jump-start-guide", "progressive-column",
    "align", "align-fine-tune", "shuffled-pairs", "shuffled-pairs-fine-tune",
    "align-by-effects", "shuffled-effects",
}  # fmt: skip
"""Shipped strategies that only make sense for policies."""


@pytest.mark.parametrize("name", sorted(shipped("strategies")))
def test_every_shipped_strategy_works_on_images_or_says_why_not(
    run: Execute, source: RunFolder, name: str
) -> None:
    data = read_yaml(shipped("strategies")[name]).data
    data.setdefault("name", name)
    verbs = StrategyConfig.model_validate_json(json.dumps(data)).verbs().plain()
    if name in REFUSED:
        with pytest.raises(TransferError, match="which an image classifier cannot"):
            run(strategy=verbs, source=source, seed=1)
        return
    record = run(strategy=verbs, source=source if StrategyVerbs(**verbs).needs_source else None, seed=1)
    assert np.isfinite(scores(record)).all()


def test_measuring_alone_gives_a_flat_curve(run: Execute, source: RunFolder) -> None:
    folder = run(strategy={"copy": ["all"], "train": False}, source=source, seed=1)
    assert [point["step"] for point in folder.curve()] == [0, 1, 2, 3, 4]
    assert len(set(scores(folder))) == 1


def test_early_stopping_keeps_the_best_epoch_and_the_grid(run: Execute, arrays: Path) -> None:
    data = {"name": "arrays", "path": str(arrays), "validation": 0.2}
    diverging = changed(
        epochs=20,
        optimizer={"name": "SGD", "learning_rate": 0.3, "momentum": 0.9},
        early_stopping={"patience": 2},
    )
    folder = run(data=data, training=diverging)
    record = folder.record()
    assert record["stopped_at"] == record["kept_epoch"] + 2 < 20
    assert [point["step"] for point in folder.curve()] == list(range(21))
    kept = measured(folder)
    # From the kept epoch on every evaluation is of the network that is kept.
    assert scores(folder)[record["kept_epoch"] :] == [kept] * (21 - record["kept_epoch"])


@pytest.mark.parametrize("strategy", [{}, FROZEN])
def test_curve_pictures_and_bundle_are_of_the_network_that_keep_best_keeps(
    run: Execute, arrays: Path, strategy: dict[str, Any]
) -> None:
    source = run(training=LONG) if strategy else None
    data = {"name": "arrays", "path": str(arrays), "validation": 0.2}
    optimizer = {"name": "SGD", "learning_rate": 3.0 if strategy else 0.5, "momentum": 0.95}
    training = changed(epochs=12, keep="best", optimizer=optimizer)
    final = run(data=data, training={**training, "keep": "final"}, strategy=strategy, source=source)
    folder = run(data=data, training=training, strategy=strategy, source=source)
    kept = folder.record()["kept_epoch"]
    assert kept < 12
    assert scores(folder)[kept:] == [measured(folder)] * (13 - kept)
    assert scores(folder)[: kept + 1] != [measured(folder)] * (kept + 1)
    # What is kept is chosen on the way and changes nothing in training.
    assert scores(folder)[kept] == scores(final)[kept]
    assert loaded(folder).metadata["score"] == measured(folder)


def test_a_diverging_run_says_so(run: Execute) -> None:
    training = changed(epochs=8, optimizer={"name": "SGD", "learning_rate": 1000, "weight_decay": 1000})
    with pytest.raises(TransferError, match=r"the loss became .*training diverged") as error:
        run(training=training)
    assert error.value.key == "training.optimizer.learning_rate"


def test_balanced_class_weights_follow_the_counts(tmp_path: Path) -> None:
    from rl_transfer.image.data.arrays import array_images
    from rl_transfer.image.preprocessing import plain
    from rl_transfer.spec.optimization import SupervisedTraining
    from rl_transfer.supervised.batches import Batches
    from rl_transfer.supervised.loop import class_weights

    images, _ = stripes(8)
    part = Batches(array_images(images, np.array([0] * 6 + [1] * 2)), plain(1, 8))
    # n / (classes · n_c): 8 / (2 · 6) and 8 / (2 · 2).
    found = class_weights(SupervisedTraining(class_weights="balanced"), part, 2)
    assert found.tolist() == pytest.approx([2 / 3, 2.0])


def test_a_source_that_a_strategy_needs_must_be_given(run: Execute) -> None:
    with pytest.raises(BundleError, match="copies from a source, but none was given"):
        run(strategy=FINE_TUNE)


def test_sources_are_found_by_run_folder(run: Execute, source: RunFolder, tmp_path: Path) -> None:
    assert ROOM.find_source(str(source.path), tmp_path) == FoundSource(source.bundle, source.path.name)
    with pytest.raises(BundleError, match="no such bundle or run folder"):
        ROOM.find_source(str(tmp_path / "absent"), tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(BundleError, match=r"is a file; expected a bundle folder.*key weights"):
        ROOM.find_source(str(tmp_path / "weights.pth"), tmp_path)


def test_another_input_than_the_sources_is_refused(run: Execute, source: RunFolder) -> None:
    model = {"name": "small-resnet", "width": 4, "blocks": [1, 1], "input": {"size": 8, "mean": [0.1]}}
    with pytest.raises(TransferError, match=r"source saw images with mean \(0\.5,\)"):
        run(strategy=FINE_TUNE, source=source, model=model)


def test_a_source_whose_data_are_gone_still_transfers(run: Execute, tmp_path: Path) -> None:
    own = save_arrays(tmp_path / "own.npz")
    source = run(own)
    own.unlink()
    record = run(strategy=FINE_TUNE, source=source).record()
    assert record["retention"] is None
    assert any("not at hand" in note for note in record["notes"])


def test_pictures_and_events_are_written(run: Execute) -> None:
    folder = run()
    assert {path.name for path in (folder.path / "figures").iterdir()} == {"predictions.png", "confusion.png"}
    assert ROOM.labels.curve_tag in scalar_tags(folder.tensorboard)


def test_a_confusion_matrix_counts_and_shades() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], dtype=np.float32)
    predictions = Predictions(probabilities, np.array([0, 1, 1]))
    assert predictions.confusion(2).tolist() == [[1, 0], [1, 1]]
    # −(log 0.9 + log 0.2 + log 0.7) / 3
    assert predictions.loss() == pytest.approx(0.69049, abs=1e-4)
    picture = confusion_matrix(predictions, ("yes", "no"))
    assert picture.shape[2] == 3
    # A full row is painted in the darkest shade.
    assert (picture.reshape(-1, 3) == (30, 80, 160)).all(axis=1).any()


def test_an_interrupted_run_is_begun_anew(run: Execute, arrays: Path, tmp_path: Path) -> None:
    spec = make_run(arrays)
    folder = RunStore(tmp_path / "again").folder(run_id(spec))
    folder.path.mkdir(parents=True)
    (folder.path / "curve.jsonl").write_text(
        '{"evaluation": 0, "step": 0, "returns": [0.0], "lengths": [1]}\n'
    )
    ROOM.execute(spec, folder, None, say=lambda _: None)
    assert scores(folder) == scores(run())


def test_a_bundle_is_built_again_from_data_alone(run: Execute) -> None:
    folder = run()
    network = load_network(IMAGES, folder.path)
    assert network.classes == ("a", "b", "c")
    assert core.digest_tensors(network.state) == folder.record()["weights_digest"]
    assert not network.module.training


def test_a_long_plan_of_a_strategy_without_a_name_is_told_part_by_part(
    run: Execute, source: RunFolder, arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_transfer.supervised.transfer.LONG_PLAN", 1)
    said: list[str] = []
    spec = make_run(arrays, strategy=FINE_TUNE, source=source.path.name)
    ROOM.execute(spec, RunFolder(tmp_path / "told"), source.bundle, said.append)
    told = said[0].splitlines()
    assert told[0].split() == ["stem", "copied", "6"]
    assert told[-1].startswith("copied ")
