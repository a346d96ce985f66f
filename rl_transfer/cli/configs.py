"""``configs list|show|copy``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import out
from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.wording import did_you_mean

app = typer.Typer(help="The configs that come with the package.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the shipped configs with a line on each."""
    from rich.table import Table

    from rl_transfer.spec import CATEGORIES, shipped
    from rl_transfer.spec.yaml_map import read_yaml

    table = Table("kind", "name", "summary", box=None)
    for category in CATEGORIES:
        for name, path in shipped(category).items():
            table.add_row(category, name, str(read_yaml(path).data.get("summary", "")))
    out.print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name, or category/name, of a shipped config.")],
) -> None:
    """Print a shipped config."""
    sys.stdout.write(_shipped(name).read_text(encoding="utf-8"))


@app.command("copy")
def copy(
    name: Annotated[str, typer.Argument(help="Name, or category/name, of a shipped config.")],
    destination: Annotated[Path, typer.Argument(help="File or folder to copy it to.")] = Path("."),
) -> None:
    """Copy a shipped config to edit it; an existing file is never overwritten."""
    path = _shipped(name)
    target = destination / path.name if destination.is_dir() else destination
    if target.exists():
        raise StoreError(f"{target} exists and is not overwritten; name another file")
    try:
        shutil.copyfile(path, target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None
    out.print(f"{target} written; run it by its path: ./{target}", soft_wrap=True)


def _shipped(name: str) -> Path:
    from rl_transfer.spec import CATEGORIES, locate, shipped

    everything = shipped()
    if name in everything:
        return everything[name]
    found = [key for key in everything if key.rsplit("/", 1)[-1] == name]
    if len(found) == 1:
        return everything[found[0]]
    if found:
        raise ConfigError(f"{name!r} is ambiguous: {', '.join(found)}; name it with its category")
    category, slash, bare = name.partition("/")
    if slash and category in CATEGORIES:
        return locate(bare, category)
    meant = did_you_mean(name, [key.rsplit("/", 1)[-1] for key in everything])
    raise ConfigError(f"there is no shipped config {name!r}.{meant} See: rl-transfer configs list")
