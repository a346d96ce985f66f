import rl_transfer.core as core

PUBLIC = """
EWC L2SP Anchor AnnealedCoefficient Bundle FrozenParts Layer LowRankAdapters Part PartLearningRates PartMap
PartRule PlanRow ProgressiveTrunk Role StoredBundle Strategy TensorInfo ThawSchedule ThawStep TransferPlan
add_low_rank apply categorical_kl count_parameters critic_warmup described_bundle digest_model digest_tensors
fisher_diagonal freeze gaussian_kl gradual_unfreezing inventory inventory_table isolated
learning_rates_by_part load_bundle open_bundle plan rename_tensors save_bundle shrunk_and_perturbed shuffled
tensors_of verify_bundle
AlignmentMap fit_frobenius fit_ridge frobenius largest_penalty leave_one_out ridge PairingCheck
check_pairing doubts canonical_correlations fit_cca fit_coral fit_low_rank fit_procrustes
"""


def test_the_public_names_are_these_and_each_says_what_it_is():
    assert sorted(core.__all__) == sorted(PUBLIC.split())
    things = [getattr(core, name) for name in core.__all__ if name != "Role"]  # a Literal has no docstring
    assert [thing for thing in things if not thing.__doc__] == []
