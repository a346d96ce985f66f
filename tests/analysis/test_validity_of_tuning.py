"""A small seeded sample of the simulation of docs/tuning.md."""

from benchmarks.validity.tuning import found_effects


def test_choosing_one_arm_on_judged_seeds_finds_what_is_not_there_and_tuning_seeds_do_not() -> None:
    cheated, _ = found_effects("equal", "one arm, on judged seeds", 9, 300)
    gains, losses = found_effects("equal", "both, on tuning seeds", 9, 300)
    assert cheated > 0.08
    assert gains + losses < 0.08  # .05 ± 2.4 standard errors


def test_a_default_that_suits_one_arm_is_found_as_a_gain_unless_both_are_tuned() -> None:
    untuned, _ = found_effects("apart", "nobody is tuned", 4, 200)
    gains, _ = found_effects("apart", "both, on tuning seeds", 4, 200)
    assert untuned > 0.45
    assert gains < 0.13
