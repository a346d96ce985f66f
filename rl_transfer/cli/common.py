"""What all commands share: the consoles, the shape of arguments, errors with their place."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from rl_transfer.wording import escaped, visible

if TYPE_CHECKING:
    from rl_transfer.frame import Say


class _Lasting(Console):
    """That nobody reads on (``| head``) stops no sweep."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), self.file.fileno())


class _Plain(_Lasting):
    """Prints text as it is, without what a terminal would obey: it may be a log's or a foreign record's."""

    def print(self, *objects: object, soft_wrap: bool | None = None, **_: object) -> None:
        """Nothing but ``soft_wrap`` is asked for anywhere."""
        shown = (visible(each) if isinstance(each, str) else each for each in objects)
        super().print(*shown, soft_wrap=soft_wrap)


out = _Plain(markup=False, emoji=False, highlight=False)
err = _Plain(markup=False, emoji=False, highlight=False, stderr=True)


def say(text: str) -> None:
    """A line on standard output, however long.

    Args:
        text: what it says.
    """
    out.print(text, soft_wrap=True)


def json_text(data: object) -> str:
    """What ``--json`` prints: indented, and without anything that a terminal obeys.

    Args:
        data: what JSON can say.

    Returns:
        JSON and a line break.
    """
    return escaped(json.dumps(data, indent=2, ensure_ascii=False)) + "\n"


def say_columns(rows: Sequence[Sequence[str]]) -> None:
    """A row per line, in columns that are as wide as they need to be; nothing is cut or broken.

    Args:
        rows: cells; the first row is the head.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def json_alone() -> Iterator[Say]:
    """Keep standard output for JSON: what a user's own modules print goes to standard error meanwhile.

    Yields:
        Writes a text and a line break to standard output.
    """
    console = _Lasting(file=sys.stdout, markup=False, emoji=False, highlight=False)
    with redirect_stdout(sys.stderr):
        yield partial(console.print, soft_wrap=True)


def shipped_names(category: str) -> Callable[[str], list[str]]:
    """What a shell completes the name of a shipped config to.

    Args:
        category: kind of config, one of ``spec.CATEGORIES``.

    Returns:
        Takes what was typed so far.
    """

    def complete(incomplete: str) -> list[str]:
        from rl_transfer.spec.shipped import shipped

        return [name for name in shipped(category) if name.startswith(incomplete)]

    return complete


def environment_names(incomplete: str) -> list[str]:
    """What a shell completes an environment to: shipped targets, and ids with registered parameters.

    Args:
        incomplete: what was typed so far.

    Returns:
        Names.
    """
    from rl_transfer_envs import environments

    known = [*shipped_names("targets")(""), *environments()]
    return [name for name in known if name.startswith(incomplete)]


def _named_in_overrides(incomplete: str) -> list[str]:
    """Completes ``strategy=fin`` and ``env=cart``."""
    key, equals, value = incomplete.partition("=")
    category = {"strategy": "strategies", "env": "targets"}.get(key)
    return [f"{key}={name}" for name in shipped_names(category)(value)] if equals and category else []


def _no_options(context: typer.Context, overrides: list[str] | None) -> list[str] | None:
    for text in overrides or []:
        key, _, value = text.partition("=")
        option = f"--{key.strip().replace('_', '-')}"
        for each in context.command.params:
            if option in each.opts:
                off = value.strip().lower() in ("false", "no", "off", "0")
                is_flag = getattr(each, "is_flag", False)
                if is_flag and off and not each.secondary_opts:
                    raise typer.BadParameter(f"{text}: that is so unless {option} is given; leave it out")
                flag = (off and each.secondary_opts) or [option]
                words = flag[0] if is_flag else f"{option} {value}"
                raise typer.BadParameter(f"{text}: options are written with dashes: {words}")
    return overrides


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Overrides of config values, e.g. training.total_steps=50000 seeds=3. Values are YAML.",
        show_default=False,
        autocompletion=_named_in_overrides,
        callback=_no_options,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder for the results; default: results/NAME.", show_default=False),
]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Events = Annotated[
    bool,
    typer.Option("--events/--no-events", help="Write TensorBoard's event files of each run."),
]
Algorithm = Annotated[
    str | None, typer.Option("--algorithm", "-a", help="SB3's name, where the file does not tell.")
]


License = Annotated[
    str | None,
    typer.Option(
        "--license", help="Licence, as the Hugging Face Hub writes it: mit, apache-2.0, cc-by-4.0 …"
    ),
]


Private = Annotated[bool, typer.Option("--private", help="Create a private repository.")]


MaskZeros = Annotated[
    bool,
    typer.Option("--mask-zeros", help="Hold inputs at 0 that were always 0 in training, by the statistics."),
]


def _named_on_the_command_line(names: list[str] | None) -> list[str] | None:
    from rl_transfer.spec.modules import import_modules

    with redirect_stdout(sys.stderr):  # no answer of a command is what a module prints
        import_modules(names or [])
    return names


Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        help="Module of yours that the policy names (features extractor, environment). May be repeated.",
        show_default=False,
        callback=_named_on_the_command_line,
    ),
]


def _kinds_of_difference(text: str | None) -> str | None:
    from rl_transfer.sweep.reuse import DIFFERENCES

    if text is not None and not set(text.split(",")) <= {*DIFFERENCES}:
        raise typer.BadParameter(f"{text!r}: expected {' or '.join(DIFFERENCES)}, or both with a comma")
    return text


ReuseDespite = Annotated[
    str | None,
    typer.Option(
        "--reuse-despite",
        metavar="code,versions",
        help="Reuse finished runs though other code, or other versions of libraries, computed them.",
        show_default=False,
        callback=_kinds_of_difference,
    ),
]
