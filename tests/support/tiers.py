"""Which tests ``make test`` runs, and which wait for ``make test-all``.

A module belongs to the tier that :data:`MODULES` names, a single test to ``full`` by ``@pytest.mark.full``;
all others are the default tier. Without paths on the command line pytest runs the default tier. A path runs
all that lies there, whatever its tier.
"""

from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
NAMES = ("default", "full", "browser", "extras", "ray")
MODULES: dict[str, tuple[str, ...]] = {
    "browser": ("report/test_browser.py", "report/test_document.py"),
    "extras": (
        "api/*_extras.py",
        "cli/*_extras.py",
        "core/test_alignment_sklearn.py",
        "image/test_keras*.py",
        "image/test_packaged_sets.py",
        "image/test_timm.py",
        "*/test_onnx.py",
        "rl/test_minigrid.py",
        "rl/test_sources_hub.py",
        "test_benchmarks_extras.py",
        "test_tracking_extras.py",
        "text/test_doors.py",
        "text/test_encoders.py",
        "text/test_saved_sets.py",
    ),
    "ray": ("sweep/test_ray*.py",),
}
"""Tier → its modules below ``tests``: they need Chromium, a package of the extra dev-all, a Ray cluster."""


def add_option(parser: pytest.Parser) -> None:
    """Declare ``--tier``."""
    parser.addoption(
        "--tier", action="append", choices=[*NAMES, "all"], default=None,
        help="run the tests of this tier, wherever they lie (may be repeated)",
    )  # fmt: skip


def choose(config: pytest.Config) -> None:
    """Fix the tiers of this run; workers take over what their controller fixed."""
    chosen = config.option.tier
    if chosen is None:
        by_path = config.args_source is pytest.Config.ArgsSource.ARGS
        chosen = ["all"] if by_path else ["default"]
    config.option.tier = [*NAMES] if "all" in chosen else chosen


@cache
def of_module(path: Path) -> str | None:
    """The tier of a test module; None where its tests say it one by one."""
    if TESTS not in path.parents or path.suffix != ".py":
        return None
    name = path.relative_to(TESTS).as_posix()
    return next((tier for tier, globs in MODULES.items() if any(fnmatch(name, glob) for glob in globs)), None)


def left_out(path: Path, config: pytest.Config) -> bool:
    """Whether no test of a module belongs to the chosen tiers."""
    tier = of_module(path)
    return tier is not None and tier not in config.option.tier


def of_test(item: pytest.Item) -> str:
    """The tier of one test."""
    return of_module(item.path) or ("full" if item.get_closest_marker("full") else "default")


def keep(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of other tiers."""
    dropped = [item for item in items if of_test(item) not in config.option.tier]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if of_test(item) in config.option.tier]
