"""The configs that come with the package: where they lie, what they are called.

An argument with a path separator or a ``.yaml`` ending is a path; a bare name means a
shipped config. The current directory is never searched for bare names.
"""

from __future__ import annotations

import os
from pathlib import Path

from rl_transfer.bounded import is_file
from rl_transfer.errors import ConfigError
from rl_transfer.wording import did_you_mean, listing, shortened

CATEGORIES = ("suites", "train", "transfer", "targets", "strategies")


def configs_folder() -> Path:
    """The folder of shipped configs: inside the installed package, or the checkout's ``configs``.

    Returns:
        The folder.
    """
    package = Path(__file__).resolve().parent.parent
    installed = package / "_configs"
    # An editable install does not create the mapped folder; the checkout's own is beside the package.
    return installed if installed.is_dir() else package.parent / "configs"


def shipped(category: str | None = None) -> dict[str, Path]:
    """Name → file of the shipped configs of one category, or of all as ``category/name``.

    ``targets/cartpole/longer-pole.yaml`` is called ``cartpole-longer-pole``.

    Args:
        category: one of :data:`CATEGORIES`; None for all of them.

    Returns:
        Names in alphabetical order of their files.
    """
    if category is not None:
        folder = configs_folder() / category
        files = sorted(folder.rglob("*.yaml"))
        return {"-".join(path.relative_to(folder).with_suffix("").parts): path for path in files}
    return {f"{each}/{name}": path for each in CATEGORIES for name, path in shipped(each).items()}


def is_path(argument: str) -> bool:
    """Whether ``argument`` names a file rather than a shipped config.

    >>> is_path("./mine"), is_path("mine.yaml"), is_path("quickstart")
    (True, True, False)

    Args:
        argument: what somebody wrote.

    Returns:
        True where it has a separator or the ending of a YAML file.
    """
    separators = {os.sep, os.altsep, "/"} - {None}
    return argument.endswith((".yaml", ".yml")) or any(sep in argument for sep in separators if sep)


def locate(argument: str, category: str, relative_to: Path | None = None) -> Path:
    """The file that ``argument`` names.

    Args:
        argument: a path, or the bare name of a shipped config.
        category: the kind of config that is expected, one of ``CATEGORIES``.
        relative_to: the folder that a relative path starts from; none: the current one.

    Returns:
        A file that exists.

    Raises:
        ConfigError: no such file or no shipped config of that name.
    """
    if is_path(argument):
        path = Path(argument)
        if relative_to is not None and not path.is_absolute():
            path = relative_to / path
        if not is_file(path):
            hint = _beside(path)
            if Path(argument).stem in shipped(category):
                hint = f"; a shipped config is called by its bare name: {Path(argument).stem}"
            raise ConfigError(f"{shortened(str(path), 300)}: no such file{hint}")
        return path
    known = shipped(category)
    if argument in known:
        return known[argument]
    meant = did_you_mean(argument, known)
    elsewhere = [name for name in shipped() if name.endswith(f"/{argument}")]
    if elsewhere:
        meant = f" There is {elsewhere[0]}, but a config from {category} is expected here."
    if is_file(Path(argument)) or is_file(Path(f"{argument}.yaml")):
        meant += f" A file in this folder is named with its path: ./{argument}"
    raise ConfigError(
        f"{shortened(argument)!r} is no shipped config of {category}.{meant} "
        f"Shipped: {listing([*known]) or 'none'}; see them all: rl-transfer configs list {category}"
    )


def _beside(path: Path) -> str:
    """A hint at the YAML file of the same folder that is most like the one that is missing."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")]
    except (OSError, ValueError):
        return ""
    meant = did_you_mean(path.name, names)
    return f".{meant}" if meant else ""
