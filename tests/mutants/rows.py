"""What is mutated, by which tests it is judged, and the changes that once slipped through."""

from __future__ import annotations

from dataclasses import dataclass

ROOMS: dict[str, tuple[str, ...]] = {
    **{
        room: (f"rl_transfer/{room}/**/*.py",)
        for room in ("core", "analysis", "results", "sweep", "rl", "supervised", "spec")
    },
    "envs": ("envs/rl_transfer_envs/**/*.py",),
}
"""Room → globs of the modules from which mutants are drawn."""


@dataclass(frozen=True)
class Named:
    """A change by its text: ``before`` stands once in the product, wherever that is."""

    name: str
    before: str
    after: str
    tests: tuple[str, ...]
    """Node ids that must fail under the change."""


NAMED = (
    Named(
        "guide steps are not charged to the budget",
        "self.model.num_timesteps += self._unseen.steps - self._guided",
        "self.model.num_timesteps += 0",
        ("tests/rl/test_guide.py::test_learner_and_guide_share_the_budget",),
    ),
    Named(
        "the guide's transitions are stored with the learner's actions",
        "stored[index] = policy.scale_action(action) if isinstance(space, spaces.Box) else action",
        "stored[index] = stored[index]",
        ("tests/rl/test_guide.py::test_an_off_policy_learner_keeps_the_guides_transitions",),
    ),
    Named(
        "the learner acts where the buffer says that the guide did",
        "actions[index] = action",
        "pass",
        ("tests/rl/test_guide.py::test_an_off_policy_learner_keeps_the_guides_transitions",),
    ),
    Named(
        "an off-policy guide's steps are charged a second time",
        "return None if self._learned else self.curriculum",
        "return self.curriculum",
        ("tests/rl/test_guide.py::test_an_off_policy_learner_keeps_the_guides_transitions",),
    ),
    Named(
        "the guide's share of the budget is not bounded",
        "return int(min(self._first * (stages - stage) // stages, self.left))",
        "return self._first * (stages - stage) // stages",
        ("tests/rl/test_guide.py::test_the_horizon_shrinks_with_what_is_spent_of_the_allowance",),
    ),
    Named(
        "retention: final and source policy swapped",
        '{"returns": after.returns, "source_returns": before.returns}',
        '{"returns": before.returns, "source_returns": after.returns}',
        ("tests/rl/test_run.py::test_retention_measures_the_final_policy_beside_the_source",),
    ),
    Named(
        "guide curriculum: the last mean is the best",
        "self._best = max(self._best, mean)",
        "self._best = mean",
        ("tests/rl/test_guide.py::test_the_best_return_is_kept_when_a_tolerated_one_follows",),
    ),
    Named(
        "guide curriculum: tolerance of negative returns without abs",
        "self._config.tolerance * abs(self._best)",
        "self._config.tolerance * self._best",
        ("tests/rl/test_guide.py::test_negative_returns_are_tolerated_by_their_size",),
    ),
    Named(
        "obstructed cells keep their own p in the family",
        "blocked = {key for key, entry in entries.items() if obstacles[key] or math.isnan(entry.p)}",
        "blocked = {key for key, entry in entries.items() if math.isnan(entry.p)}",
        ("tests/analysis/test_matrix.py::test_a_crashed_cell_of_clear_gain_counts_as_one_without",),
    ),
    Named(
        "sampled permutations without the +1 of Phipson and Smyth",
        "return (1 + hits) / (1 + PERMUTATION_LIMIT)",
        "return hits / PERMUTATION_LIMIT",
        ("tests/analysis/test_arm_statistics.py::test_sampled_permutations_never_give_zero",),
    ),
    Named(
        "shaping keeps its potential at the terminal state",
        "self._potential = 0.0 if terminated else self._phi(observation)",
        "self._potential = self._phi(observation)",
        ("tests/envs/test_envs_wrappers.py::TestReward::test_shaping_owes_nothing_at_a_terminal_state",),
    ),
    Named(
        "stochastic evaluations of every seed draw alike",
        "with isolated(seeds[0]):",
        "with isolated(0):",
        ("tests/rl/test_evaluate.py::test_a_policy_that_samples_draws_by_the_seeds",),
    ),
    Named(
        "the evaluator plays on after a truncation",
        "if terminated or truncated:\n                over.append(index)",
        "if terminated:\n                over.append(index)",
        ("tests/rl/test_evaluate.py::test_an_episode_ends_where_it_is_truncated",),
    ),
    Named(
        "the random run is not raised to 100 episodes",
        '"episodes": max(100, evaluation.episodes)',
        '"episodes": evaluation.episodes',
        ("tests/sweep/test_graph.py::test_the_random_policy_plays_at_least_100_episodes",),
    ),
    Named(
        "a baseline may freeze",
        "if baseline.needs_source or baseline.freeze:",
        "if baseline.needs_source:",
        ("tests/spec/test_load.py::test_a_baseline_that_freezes_is_refused",),
    ),
    Named(
        "kickstarting of images never anneals",
        "return coefficient.at(share) * functional",
        "return coefficient.initial * functional",
        ("tests/image/test_run.py::test_kickstarting_ends_where_it_is_said_to",),
    ),
    Named(
        "kickstarting of policies never anneals",
        "self._coefficient.at(progress)",
        "self._coefficient.at(0.0)",
        ("tests/rl/test_kickstart.py",),
    ),
    Named(
        "gains in TensorBoard end at an area instead of the final quality",
        'if metric == "auc_gain":\n        return np.array([area',
        'if metric != "auc_gain":\n        return np.array([area',
        ("tests/report/test_tensorboard.py::test_a_gain_so_far_is_that_of_a_shorter_training",),
    ),
    Named(
        "summary.csv: limits of a verdict taken from the raw metric",
        '("comparisons", judged, key)',
        '("metrics", judged, key)',
        ("tests/analysis/test_csv_table.py::test_every_gain_lies_between_its_limits_in_its_own_unit",),
    ),
)
