"""What all commands share: the consoles, the shape of arguments, errors with their place."""

from __future__ import annotations

import os
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from rl_transfer.errors import BundleError, RLTransferError, SweepFailed

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rl_transfer.frame import Say
    from rl_transfer.results import RunFolder
    from rl_transfer.spec import Loaded

Config = TypeVar("Config", bound="BaseModel")


class _Plain(Console):
    """Prints text as it is; that nobody reads on (``| head``) stops no sweep."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), self.file.fileno())


out = _Plain(markup=False, emoji=False, highlight=False)
err = _Plain(markup=False, emoji=False, highlight=False, stderr=True)


def say(text: str) -> None:
    """A line on standard output, however long.

    Args:
        text: what it says.
    """
    out.print(text, soft_wrap=True)


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
    console = _Plain(file=sys.stdout, markup=False, emoji=False, highlight=False)
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


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Overrides of config values, e.g. training.total_steps=50000 seeds=3. Values are YAML.",
        show_default=False,
        autocompletion=_named_in_overrides,
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


@contextmanager
def failures_kept(folder: RunFolder) -> Iterator[None]:
    """Leave in a run's folder why it failed; what code that is not ours raised is told in one line.

    Args:
        folder: of the run.

    Raises:
        SweepFailed: anything but an error of ours or of the system was raised; the log has the traceback.
    """
    from rl_transfer.wording import what_was_raised

    try:
        yield
    except RLTransferError as error:
        folder.fail(type(error).__name__, error.message, attempts=1)
        raise
    except (OSError, MemoryError):
        raise
    except Exception as error:
        message = what_was_raised(error)
        folder.log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        folder.fail(type(error).__name__, message, attempts=1)
        raise SweepFailed(f"the run failed: {message}\n  log: {folder.log}") from error


def make_importable(folder: Path) -> None:
    """Let configs name a user's own modules that lie in ``folder``.

    The folder goes to the end of the path: an installed package is never shadowed. Worker
    processes are given the same path.

    Args:
        folder: the current folder, or that of a YAML file.
    """
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)


def make_folder_importable(argument: str | None) -> None:
    """Let a YAML file name modules that lie beside it.

    Args:
        argument: what a person gave: a path to a YAML file; everything else is passed over.
    """
    from rl_transfer.bounded import is_file
    from rl_transfer.spec.shipped import configs_folder, is_path

    if argument is None or not (is_path(argument) and is_file(Path(argument))):
        return
    if not Path(argument).resolve().is_relative_to(configs_folder()):
        make_importable(Path(argument).parent)


def read_config(
    argument: str, models: dict[str, type[Config]], category: str, overrides: list[str] | None
) -> Loaded[Config]:
    """Load a config; modules beside its YAML file, or one that it names, can be imported from then on.

    Args:
        argument: a path to a YAML file, or the bare name of a shipped config.
        models: the accepted config type for each ``kind``.
        category: where a bare name is looked up.
        overrides: ``key.path=value`` strings.

    Returns:
        The validated config, and where each of its values came from.

    Raises:
        ConfigError: anything is wrong with the file or an override.
    """
    from rl_transfer.spec import Frozen, load
    from rl_transfer.spec.modules import import_named

    make_folder_importable(argument)
    loaded = load(argument, models, category, overrides)
    for file in loaded.document.files():
        make_folder_importable(file)
    if isinstance(loaded.config, Frozen):
        import_named(loaded.config)
    return loaded


def refuse_missing(policy: str) -> None:
    """Refuse the path of a policy that is nowhere, or of no policy, before anything heavy is imported.

    Args:
        policy: what a person gave; addresses, which have a colon, are left to the rooms.

    Raises:
        BundleError: there is nothing at that path, or a file that is not what it is called.
    """
    if ":" not in policy and not Path(policy).exists():
        raise BundleError(
            f"{policy}: no such file or folder; a source is a bundle or run folder, an SB3 zip, "
            "hf://org/repository, or a state dict (.safetensors, .pth, .pt)"
        )
    path = Path(policy)
    if path.suffix == ".zip" and path.is_file() and not zipfile.is_zipfile(path):
        raise BundleError(f"{path.name} is truncated or no zip file: File is not a zip file")
    if path.suffix == ".safetensors" and path.is_file() and _header(path)[8:] != b"{":
        raise BundleError(f"{path.name} is truncated or no .safetensors file: its header is no JSON object")


def _header(path: Path) -> bytes:
    """The length of a safetensors file's header and the brace that it begins with."""
    try:
        with path.open("rb") as stream:
            return stream.read(9)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from None


@contextmanager
def located(loaded: Loaded[Any]) -> Iterator[None]:
    """Join the key of an error raised below with the file and line that the key came from."""
    try:
        yield
    except RLTransferError as error:
        error.message = loaded.located(error)
        raise
