"""The effect probe proves effects and refuses inert perturbations."""

import pytest

import rl_transfer_envs as envs


def check(*perturb, env_id="CartPole-v1", **more):
    return envs.check_effect({"id": env_id, "perturb": list(perturb)}, **more)


def test_no_perturbation_no_report():
    assert envs.check_effect("CartPole-v1") == []


def test_reports_come_in_the_order_given_and_name_the_first_difference():
    noise, length = check({"observation_noise": 0.1}, {"length": "x3"})
    assert (noise.index, noise.name, noise.value) == (0, "observation_noise", {"std": 0.1})
    # noise shows in the first observation, at the reset
    assert (noise.first.step, noise.first.quantity) == (0, "observation")
    # the length shows in the angular velocity after one step
    assert (length.first.step, length.first.quantity) == (1, "observation")


def test_the_border_of_the_track_needs_a_policy_that_reaches_it():
    (report,) = check({"x_threshold": 5.0})
    assert report.first.policy == "drive right"
    assert report.first.quantity == "terminated"


def test_the_cart_mass_written_as_a_plain_attribute_is_inert():
    with pytest.raises(envs.InertPerturbationError) as caught:
        check({"attribute": {"masscart": 5.0}})
    message = caught.value.message
    assert caught.value.key == "perturb.0.attribute"
    assert "'masscart': 5.0" in message
    for word in ("random", "constant 0", "balance", "21000 steps", "3 seeds", "derive"):
        assert word in message


def test_the_default_value_is_inert_and_the_reason_says_so():
    with pytest.raises(envs.InertPerturbationError, match="equals the default"):
        check({"length": 0.5}, seconds=0.5)
    with pytest.raises(envs.InertPerturbationError, match="at their default"):
        check({"observation_noise": 0.0}, seconds=0.5)


def test_a_perturbation_masked_by_the_one_before_is_inert():
    # where every action is replaced by a random one, reversing the choice changes nothing
    assert len(check({"action_remap": "reverse"}, {"random_action": 1.0})) == 2
    with pytest.raises(envs.InertPerturbationError, match="undoes or masks") as caught:
        check({"random_action": 1.0}, {"action_remap": "reverse"}, seconds=0.5)
    assert caught.value.key == "perturb.1.action_remap"


def test_policies_of_the_environment_see_the_unperturbed_observation():
    # "balance" reads four sensors, of which the first perturbation leaves two
    with pytest.raises(envs.InertPerturbationError, match="balance"):
        check({"observation_missing": [0, 1]}, {"action_remap": "identity"})
