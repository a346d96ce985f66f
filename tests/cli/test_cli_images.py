"""Image classifiers on the command line: the same commands, measured on data instead of in an environment."""

import json

import pytest

from support.cli import Call


@pytest.mark.full
def test_an_image_classifier_is_trained_and_measured(call: Call) -> None:
    trained = call("train", "image-letters", "training.epochs=2", "evaluation.every=1", "-o", "letters")
    assert trained.code == 0, trained.err
    assert "2 epochs" in trained.out
    measured = call("evaluate", "letters", "--json")
    assert measured.code == 0, measured.err
    result = json.loads(measured.out)
    assert 0 <= result["accuracy"] <= 1
    assert len(result["classes"]) == 26
    assert "stem" in call("policies", "inspect", "letters").out
    refused = call("evaluate", "letters", "--env", "CartPole-v1")
    assert refused.code == 3
    assert "image classifier" in refused.err
    refused = call("evaluate", "letters", "--success", "475")
    assert refused.code == 3
    assert "it is measured on --data, and --success is for policies only" in refused.err


def test_a_policy_has_no_data(call: Call, trained: object) -> None:
    refused = call("evaluate", str(trained), "--data", "images")
    assert refused.code == 3
    assert "is a policy" in refused.err
