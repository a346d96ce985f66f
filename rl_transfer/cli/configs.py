"""``configs list|show|copy``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import AsJson, out, say, say_columns
from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.wording import did_you_mean

app = typer.Typer(help="The configs that come with the package.", no_args_is_help=True)


KINDS = "suites, train, transfer, targets or strategies"


def _every_name(incomplete: str) -> list[str]:
    from rl_transfer.spec import shipped

    names = [*shipped(), *(name.rpartition("/")[2] for name in shipped())]
    return [name for name in names if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(help="Name, or category/name, of a shipped config.", autocompletion=_every_name),
]


def _kinds(incomplete: str) -> list[str]:
    from rl_transfer.spec import CATEGORIES

    return [kind for kind in CATEGORIES if kind.startswith(incomplete)]


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help=f"{KINDS}; default: all.", show_default=False, autocompletion=_kinds)
    ] = None,
    match: Annotated[
        str | None,
        typer.Option("--match", "-m", help="Only those with this text in name or summary.", metavar="TEXT"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the shipped configs, a line on each.

    Example: rl-transfer configs list targets --match gravity
    """
    from rl_transfer.spec import CATEGORIES, shipped
    from rl_transfer.spec.yaml_map import read_yaml

    if kind is not None and kind not in CATEGORIES:
        raise ConfigError(
            f"there are no configs of the kind {kind!r}.{did_you_mean(kind, CATEGORIES)} Kinds: {KINDS}"
        )
    rows = [
        {"kind": category, "name": name, "summary": str(read_yaml(path).data.get("summary", ""))}
        for category in (CATEGORIES if kind is None else (kind,))
        for name, path in shipped(category).items()
    ]
    wanted = (match or "").casefold()
    rows = [row for row in rows if wanted in row["name"].casefold() or wanted in row["summary"].casefold()]
    if as_json:
        say(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        say_columns([[*rows[0]], *([*row.values()] for row in rows)])
    else:
        say(f"no shipped config has {match!r} in its name or summary")


@app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Print a shipped config, with its comments; with --json what it says.

    Example: rl-transfer configs show quickstart
    """
    from rl_transfer.spec.yaml_map import read_yaml

    path = _shipped(name)
    if as_json:
        say(json.dumps(read_yaml(path).data, indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(path.read_text(encoding="utf-8"))


@app.command("copy")
def copy(
    name: Name,
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
