import hashlib
import json
import os
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from rl_transfer.core import Strategy, apply, digest_tensors, load_bundle, plan, save_bundle, verify_bundle
from rl_transfer.errors import BundleError

from .networks import ConvNet, SharedExtractor

METADATA = {"algorithm": "PPO", "seeds": {"root": 3}, "net_arch": [64, 64], "frozen": None}


@pytest.fixture
def folder(tmp_path):
    """A written bundle with weights and normalisation statistics."""
    tensors: dict[str, Any] = {
        "w": torch.arange(6.0).reshape(2, 3),
        "normalization/mean": np.array([0.1, 0.2]),
    }
    save_bundle(tmp_path / "bundle", tensors, METADATA)
    return tmp_path / "bundle"


def edit(folder, change):
    path = folder / "bundle.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_was_saved_is_what_is_loaded(tmp_path):
    model = ConvNet()
    model(torch.randn(8, 2, 6, 6))
    written = save_bundle(tmp_path / "a" / "bundle", model.state_dict(), METADATA, kind="image model")
    bundle = load_bundle(tmp_path / "a" / "bundle")
    assert bundle.metadata == METADATA
    assert bundle.kind == "image model"
    assert list(bundle.tensors) == list(model.state_dict())
    assert digest_tensors(bundle.state()) == digest_tensors(model.state_dict())
    assert bundle.digest == written.digest
    target = ConvNet()
    apply(plan(bundle.state(), target, target.parts(), Strategy("all", copy=("all",))), target)
    x = torch.randn(2, 2, 6, 6)
    assert torch.equal(target.eval()(x), model.eval()(x))


def test_the_folder_holds_two_files_and_no_pickle(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "tensors.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"], "no temporary folder is left"
    assert set(load_file(folder / "tensors.safetensors")) == {"w", "normalization/mean"}


def test_normalization_statistics_travel_as_arrays_with_their_dtype(folder):
    bundle = load_bundle(folder)
    statistics = bundle.normalization()
    assert set(statistics) == {"mean"}
    assert statistics["mean"].dtype == np.float64
    statistics["mean"] += 1
    assert bundle.normalization()["mean"].tolist() == [0.1, 0.2], "changing them does not change the bundle"
    assert set(bundle.state()) == {"w"}


def test_scalars_and_empty_tensors_survive(tmp_path):
    tensors: dict[str, Any] = {
        "normalization/count": np.float64(1e-4),
        "count": torch.tensor(7),
        "none": torch.zeros(0, 3),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    save_bundle(tmp_path / "b", tensors, {})
    bundle = load_bundle(tmp_path / "b")
    assert bundle.normalization()["count"] == 1e-4
    assert bundle.normalization()["count"].shape == ()
    assert bundle.state()["count"].item() == 7
    assert bundle.state()["none"].shape == (0, 3)
    assert bundle.state()["half"].dtype == torch.bfloat16


def test_an_alias_is_written_once_and_comes_back_under_every_name(tmp_path):
    model = SharedExtractor()
    save_bundle(tmp_path / "b", model.state_dict(), {})
    bundle = load_bundle(tmp_path / "b")
    assert sum(t.numel() for t in bundle.tensors.values()) == sum(p.numel() for p in model.parameters())
    assert bundle.aliases["features_extractor.0.bias"] == (
        "pi_features_extractor.0.bias",
        "vf_features_extractor.0.bias",
    )
    model.load_state_dict(bundle.state(), strict=True)


def test_views_of_one_buffer_and_transposed_tensors_are_written_whole(tmp_path):
    flat = torch.arange(6.0)
    tensors = {"low": flat[:3], "high": flat[3:], "t": flat.reshape(2, 3).T}
    save_bundle(tmp_path / "b", tensors, {})
    state = load_bundle(tmp_path / "b").state()
    assert state["high"].tolist() == [3, 4, 5]
    assert state["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_the_digest_is_the_content(tmp_path):
    weights = {"w": torch.ones(2)}
    digests = {
        name: save_bundle(tmp_path / name, tensors, metadata, kind=kind).digest
        for name, tensors, metadata, kind in [
            ("a", weights, {"seed": 1, "x": 2}, "policy"),
            ("same", {"w": torch.ones(2)}, {"x": 2, "seed": 1}, "policy"),
            ("metadata", weights, {"seed": 2, "x": 2}, "policy"),
            ("kind", weights, {"seed": 1, "x": 2}, "image"),
            ("weights", {"w": torch.zeros(2)}, {"seed": 1, "x": 2}, "policy"),
        ]
    }
    assert digests["a"] == digests.pop("same")
    assert len(set(digests.values())) == 4


def test_an_existing_folder_is_never_overwritten(folder):
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(BundleError, match="exists already; bundles are never overwritten"):
        save_bundle(folder, {"w": torch.zeros(1)}, {})
    assert (folder / "bundle.json").read_bytes() == before


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"w": torch.tensor([1.0, torch.nan])}, {}, "w hold NaN or infinite values; the training diverged"),
        ({"normalization/var": np.array([np.inf])}, {}, "normalization/var hold NaN"),
        ({"w": [1.0]}, {}, "'w' is a list; a bundle holds tensors"),
        ({"w": torch.ones(1)}, {"a": {1, 2}}, "must be plain JSON"),
        ({"w": torch.ones(1)}, {"a": float("nan")}, "must be plain JSON"),
    ],
)
def test_what_cannot_be_loaded_again_is_not_written(tmp_path, tensors, metadata, message):
    with pytest.raises(BundleError, match=message):
        save_bundle(tmp_path / "b", tensors, metadata)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot write the bundle"):
        save_bundle(tmp_path / "file" / "b", {"w": torch.ones(1)}, {})


def test_a_crash_while_writing_leaves_no_folder(tmp_path, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rl_transfer.core.bundle.save_file", crash)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(tmp_path / "b", {"w": torch.ones(1)}, {})
    assert list(tmp_path.iterdir()) == []


def _change(folder, change):
    """Put other bytes, made from those of the tensors, in their place."""
    path = folder / "tensors.safetensors"
    path.write_bytes(change(path.read_bytes()))


def _add_a_tensor(folder):
    path = folder / "tensors.safetensors"
    save_file({**load_file(path), "more": torch.ones(1)}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _change(f, lambda data: data[:-8]), r"tensors\.safetensors cannot be read .* truncated"),
        (
            lambda f: _change(f, lambda _: pickle.dumps({"w": 1})),
            r"tensors\.safetensors cannot be read .* no safetensors file",
        ),
        (
            lambda f: _change(f, lambda data: data[:-1] + bytes([data[-1] ^ 1])),
            "altered after it was written",
        ),
        (_add_a_tensor, "altered after it was written"),
        (lambda f: edit(f, lambda c: c["metadata"].update(algorithm="SAC")), "altered"),
        (lambda f: edit(f, lambda c: c.update(kind="image")), "altered"),
        (lambda f: edit(f, lambda c: c["aliases"].update(w=["x"])), "altered"),
        (lambda f: edit(f, lambda c: c.update(digest="0" * 64)), "altered"),
        (lambda f: edit(f, lambda c: c.update(schema=2)), "schema 2; this version reads up to 1. Install"),
        (lambda f: edit(f, lambda c: c.update(schema="one")), "damaged: schema"),
        (lambda f: edit(f, lambda c: c.pop("tensors")), "damaged: tensors missing"),
        (lambda f: edit(f, lambda c: c.pop("format")), "was not written by this package"),
        (lambda f: (f / "bundle.json").write_text("[1]"), "was not written by this package"),
        (lambda f: (f / "bundle.json").write_text('{"form'), "cannot be read as JSON"),
        (lambda f: (f / "bundle.json").write_bytes(b"\xff\xfe"), "cannot be read as JSON"),
        (lambda f: (f / "bundle.json").unlink(), r"is no bundle: it has no bundle\.json"),
        (lambda f: (f / "tensors.safetensors").unlink(), r"has no tensors\.safetensors"),
    ],
)
def test_a_damaged_bundle_is_refused_with_a_reason(folder, damage, message):
    damage(folder)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    "forge", [{"aliases": {"w": 3}}, {"aliases": {"x": []}}, {"tensors": {}}, {"tensors": {"w": 3}}]
)
def test_a_forged_digest_over_inconsistent_content_is_refused(folder, forge):
    from rl_transfer.core._description import digest_of

    content = {**json.loads((folder / "bundle.json").read_text()), **forge}
    content["digest"] = digest_of(content, digest_tensors(load_file(folder / "tensors.safetensors")))
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="altered"):
        load_bundle(folder)


@pytest.mark.parametrize("read", [load_bundle, verify_bundle])
def test_a_path_that_is_no_folder(tmp_path, read):
    with pytest.raises(BundleError, match="there is no bundle at"):
        read(tmp_path / "nothing")
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(BundleError, match=r"model\.zip is a file; a bundle is a folder.*Stable-Baselines3"):
        read(tmp_path / "model.zip")


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize("name", ["bundle.json", "tensors.safetensors"])
def test_a_crafted_pickle_executes_nothing(folder, name):
    torch.save({"w": _Bomb()}, folder / name)
    with pytest.raises(BundleError):
        load_bundle(folder)


@settings(deadline=None, max_examples=40)
@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_any_altered_byte_is_noticed(tmp_path_factory, position, value):
    """Every byte of both files, or the bundle says the same as before."""
    folder = tmp_path_factory.mktemp("b") / "bundle"
    written = save_bundle(folder, {"w": torch.arange(3.0), "b": torch.ones(1)}, METADATA)
    paths = [folder / "bundle.json", folder / "tensors.safetensors"]
    data = [bytearray(path.read_bytes()) for path in paths]
    position %= len(data[0]) + len(data[1])
    which, at = (0, position) if position < len(data[0]) else (1, position - len(data[0]))
    data[which][at] = value
    paths[which].write_bytes(bytes(data[which]))
    try:
        bundle = load_bundle(folder)
    except BundleError:
        return
    assert bundle.digest == written.digest
    assert bundle.metadata == METADATA
    assert digest_tensors(bundle.tensors) == digest_tensors(written.tensors)


def test_the_state_of_a_frozen_model_is_saved_like_any_other(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
    written = save_bundle(tmp_path / "b", model.state_dict(keep_vars=True), {})
    for bundle in (written, load_bundle(tmp_path / "b")):
        assert not any(t.requires_grad for t in bundle.tensors.values())


def test_a_pipe_in_the_place_of_tensors_is_not_opened(folder):
    path = folder / "tensors.safetensors"
    path.unlink()
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # who opens it all the same finds something to read
    try:
        os.write(pipe, (2).to_bytes(8, "little") + b"{}")
        with pytest.raises(BundleError, match="it is no regular file"):
            load_bundle(folder)
    finally:
        os.close(pipe)


def test_a_bundle_may_hold_nothing_but_tensors_of_two_names(tmp_path):
    weight = torch.ones(2)
    save_bundle(tmp_path / "b", {"a": weight, "b": weight}, {})
    bundle = load_bundle(tmp_path / "b")
    assert bundle.aliases == {"a": ("b",)}
    assert {name: tensor.tolist() for name, tensor in bundle.state().items()} == {"a": [1, 1], "b": [1, 1]}


def test_the_digest_by_hand(tmp_path):
    bundle = save_bundle(tmp_path / "b", {"w": torch.ones(1)}, {"name": "é", "a": 1})
    tensors = hashlib.sha256(b"'w' float32 (1,)\n\x00\x00\x80\x3f").hexdigest()
    # Everything else as JSON: keys sorted, no blanks, what is not ASCII escaped.
    text = (
        r'{"aliases":{},"format":"rl_transfer bundle","kind":"policy","metadata":{"a":1,"name":"\u00e9"},'
        r'"schema":1,"tensors":{"w":{"dtype":"float32","shape":[1]}}}'
    )
    assert bundle.digest == hashlib.sha256(f"{text}\n{tensors}".encode()).hexdigest()
