"""Event files, read back."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalar_tags(folder: Path) -> list[str]:
    """The scalars of one TensorBoard run."""
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    tags: list[str] = accumulator.Tags()["scalars"]
    return tags


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag → steps and values, of one TensorBoard run."""
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: [(each.step, each.value) for each in accumulator.Scalars(tag)] for tag in tags}
