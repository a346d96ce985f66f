"""How long a sweep will still take, from the runs that it has finished."""

from __future__ import annotations

from collections import defaultdict

from rl_transfer.sweep.scheduler import State


def seconds_left(state: State, now: float) -> float | None:
    """Seconds until the last run ends.

    A run is taken to last as long as the finished ones in its place of the matrix (the same source, target
    and strategy, another seed), else as long as finished runs last per step of budget: an epoch of a frozen
    trunk costs a fraction of one of a whole network, and the start of a run costs more than either.

    Args:
        state: where the sweep stands.
        now: monotonic seconds.

    Returns:
        None until a run with a budget has been finished in this session: nothing is known before.
    """
    trained = {each: seconds for each, seconds in state.seconds.items() if state.steps(each) > 0}
    if not trained:
        return None
    like: dict[tuple[str | None, ...], list[float]] = defaultdict(list)
    places = {row.id: (row.role, row.source, row.target, row.strategy) for row in reversed(state.graph.rows)}
    for each, seconds in state.seconds.items():
        like[places[each]].append(seconds)
    per_step = sum(trained.values()) / sum(map(state.steps, trained))

    def expected(identifier: str) -> float:
        known = like.get(places[identifier])
        return sum(known) / len(known) if known else per_step * state.steps(identifier)

    running = [max(expected(each) - (now - state.begun[each]), 0.0) for each in state.running]
    left = [*running, *map(expected, state.waiting)]
    return max([sum(left) / state.workers, *left]) if left else 0.0
