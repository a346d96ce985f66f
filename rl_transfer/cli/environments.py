"""``envs list|show|check|preview``."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from rl_transfer.api.given import make_folder_importable
from rl_transfer.cli.common import AsJson, environment_names, err, out, say, say_columns
from rl_transfer.errors import ConfigError, EnvironmentSpecError

app = typer.Typer(
    help="Environments and what can be perturbed in them, every knob under an effect probe.",
    no_args_is_help=True,
)

Target = Annotated[
    str,
    typer.Argument(
        metavar="ENV",
        help="Gymnasium id, shipped target, or YAML file with an env.",
        autocompletion=environment_names,
    ),
]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List environments with registered parameters, and how many there are of what.

    Example: rl-transfer envs list
    """
    from rl_transfer_envs.show import catalogue

    if as_json:
        say(json.dumps(catalogue.list_rows(), indent=2))
        return
    table = Table("environment", "family", "parameters", box=None)
    for row in catalogue.list_rows():
        missing = "" if row["installed"] else f" (pip install 'rl-transfer[{row['extra']}]')"
        table.add_row(row["environment"], row["family"] + missing, ", ".join(row["parameters"]))
    out.print(table)
    out.print(" · ".join(f"{count} {what}" for what, count in catalogue.counts().items()))


@app.command()
def show(
    env: Target,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print what each is and its source as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show everything that can be perturbed in an environment, a line each: unit, default, bounds.

    Example: rl-transfer envs show CartPole-v1
    """
    from rl_transfer_envs import EnvError, canonical, make, observation_names
    from rl_transfer_envs.show import catalogue

    with _translated():
        rows = catalogue.show_rows(canonical(_spec(env))["id"])
    if as_json:
        say(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    columns = ["name", "kind", "default", "bounds", "unit", *(("summary", "source") if verbose else ())]
    say_columns([columns, *([row[column] for column in columns] for row in rows)])
    with suppress(EnvError):  # parameters are shown where the environment itself is not installed, too
        built = make(_spec(env))
        names = observation_names(built)
        built.close()
        numbered = [f"{index} {name}" for index, name in enumerate(names or ())]
        if numbered:
            out.print(f"observations: {', '.join(numbered)}", soft_wrap=True)


@app.command()
def check(
    env: Annotated[
        str | None, typer.Argument(metavar="ENV", help="Gymnasium id, shipped target, or YAML file.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check every registered environment.")] = False,
    wrappers: Annotated[bool, typer.Option(help="Check every wrapper on the environment too.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print passed checks as well.")] = False,
) -> None:
    """Run the conformance kit: every knob moves the dynamics, every default is bit-equal to base.

    Works on your own environments too (`module:Id`, or a YAML file with env_module).

    Example: rl-transfer envs check CartPole-v1
    """
    from rl_transfer_envs.check import conformance

    if (env is None) == (not everything):
        raise ConfigError("name one environment, or give --all")
    counts: Counter[str] = Counter()
    current = ""
    with _translated(), err.status("checking") as status:
        for row in conformance.check_rows(None if env is None else _spec(env), wrappers=wrappers):
            told = " ".join(row[key] for key in ("environment", "perturbation", "check", "value"))
            status.update(Text(told))
            if everything and not err.is_terminal and row["environment"] != current:
                current = row["environment"]
                err.print(f"checking {current}", soft_wrap=True)
            counts[row["status"]] += 1
            if verbose or row["status"] == "fail":
                keys = ("status", "environment", "perturbation", "check", "value", "detail")
                line = "  ".join(str(row[key]) for key in keys)
                out.print(line, soft_wrap=True)
    out.print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    if counts["fail"]:
        raise EnvironmentSpecError(f"{counts['fail']} of {counts.total()} checks failed")


@app.command()
def preview(
    env: Target,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .gif, or a .png sheet.")] = Path(
        "preview.gif"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Environment steps to play.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of start and actions.")] = 0,
) -> None:
    """Draw base and perturbed environment side by side under the same actions.

    Example: rl-transfer envs preview cartpole-longer-pole -o longer-pole.gif
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # frames are drawn into memory, no window is opened
    from rl_transfer_envs.show.preview import preview as draw

    with _translated():
        path = draw(_spec(env), output, steps=steps, seed=seed)
    out.print(f"{path} written", soft_wrap=True)


def _spec(argument: str) -> dict[str, Any]:
    from rl_transfer.rl.environments.described import as_spec
    from rl_transfer.spec.environment import read_environment

    make_folder_importable(argument)
    found = read_environment(argument)
    return {"id": argument} if found is None else as_spec(found)


@contextmanager
def _translated() -> Iterator[None]:
    import rl_transfer_envs
    from rl_transfer.rl.environments.described import translate

    try:
        yield
    except rl_transfer_envs.EnvError as error:
        raise translate(error, None) from None
