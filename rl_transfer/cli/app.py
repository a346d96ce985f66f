"""The commands and their groups. Heavy imports happen inside commands."""

from __future__ import annotations

from typing import Annotated

import typer

from rl_transfer.cli import (
    board,
    calibrate,
    comparing,
    configs,
    environments,
    experiments,
    policies,
    publishing,
    recommending,
    runs,
    single_runs,
)
from rl_transfer.cli.common import err, out
from rl_transfer.errors import Interrupted

app = typer.Typer(
    name="rl-transfer",
    help="Does a policy trained in environment A help in environment B? Train sources, transfer them, "
    "measure against baselines and controls, and get verdicts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine · 1 the system refuses (disk, memory) · 2 wrong usage · 3 config · "
    "4 environment · 5 transfer · 6 bundle · 7 results folder · 8 failed runs · 9 missing extra · "
    "10 cluster · 11 sweeps differ · 130 interrupted.",
)
for command in (
    single_runs.train,
    single_runs.transfer,
    single_runs.evaluate,
    recommending.recommend,
    experiments.sweep,
    experiments.report,
    comparing.compare,
    publishing.publish,
    calibrate.calibrate,
    board.board,
):
    app.command()(command)
app.add_typer(environments.app, name="envs")
app.add_typer(runs.app, name="runs")
app.add_typer(policies.app, name="policies")
app.add_typer(configs.app, name="configs")


# Newer typer carries its own click; either one's classes are reached through typer's names.
UsageProblem = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        from rl_transfer import __version__

        out.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    del version  # read before a command is asked for


def _as_setting(option: str) -> str | None:
    """The key of a config that somebody wrote as an option: ``--total-steps``; None where it is none."""
    from pydantic import BaseModel

    from rl_transfer.sweep.dispatch import SUITES, TRAIN, TRANSFER

    name = option.lstrip("-").replace("-", "_")
    for model in (*TRAIN.values(), *TRANSFER.values(), *SUITES.values()):
        if name in model.model_fields:
            return name
        for section, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel) and name in kind.model_fields:
                return f"{section}.{name}"
    return None


def run(arguments: list[str] | None) -> int:
    """Run one command.

    Args:
        arguments: the words after the program's name; None for those of this process.

    Returns:
        Its exit code; wrong usage is told here.

    Raises:
        KeyboardInterrupt: somebody stopped it.
    """
    try:
        code = app(args=arguments, standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if not isinstance(error, UsageProblem):
            raise
        error.show()  # type: ignore[attr-defined]
        setting = _as_setting(str(getattr(error, "option_name", "")))
        if setting is not None:
            err.print(f"Settings are written without dashes: {setting}=…", soft_wrap=True)
        return int(error.exit_code)  # type: ignore[attr-defined]
    if code == Interrupted.exit_code:  # what typer makes of a KeyboardInterrupt
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
