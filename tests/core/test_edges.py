"""Edges of the core that larger tests pass over; each was found by a mutant that lived."""

import torch

from rl_transfer.core import load_bundle, save_bundle


def test_a_saved_bundle_does_not_follow_the_model(tmp_path):
    weight = torch.ones(2, 2)
    bundle = save_bundle(tmp_path / "b", {"w": weight}, {})
    weight.zero_()
    assert bundle.tensors["w"].tolist() == [[1, 1], [1, 1]]
    assert torch.equal(bundle.tensors["w"], load_bundle(tmp_path / "b").tensors["w"])
