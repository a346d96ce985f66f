"""The command line: arguments, exit codes, progress. Heavy imports happen inside commands."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from rl_transfer.cli import board, configs, environments, experiments, policies
from rl_transfer.cli.common import err, make_importable, out
from rl_transfer.errors import RLTransferError

app = typer.Typer(
    name="rl-transfer",
    help="Does a policy trained in environment A help in environment B? Train sources, transfer them, "
    "measure against baselines and controls, and get verdicts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine · 2 wrong usage · 3 config · 4 environment · 5 transfer · 6 bundle · "
    "7 results folder · 8 failed runs · 9 missing extra · 130 interrupted.",
)
for command in (
    experiments.train,
    experiments.transfer,
    experiments.evaluate,
    experiments.sweep,
    experiments.report,
    board.board,
):
    app.command()(command)
app.add_typer(environments.app, name="envs")
app.add_typer(policies.app, name="policies")
app.add_typer(configs.app, name="configs")


# Newer typer carries its own click; either one's classes are reached through typer's names.
UsageProblem = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        from rl_transfer import __version__

        out.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    del version  # read before a command is asked for


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; mistakes give one message and no traceback.

    Args:
        arguments: the words after the program's name; None for those of this process.
    """
    signal.signal(signal.SIGTERM, _terminate)
    make_importable(Path())
    try:
        code = app(args=arguments, standalone_mode=False)
    except RLTransferError as error:
        err.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted", highlight=False)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if not isinstance(error, UsageProblem):
            raise
        error.show()  # type: ignore[attr-defined]
        sys.exit(error.exit_code)  # type: ignore[attr-defined]
    sys.exit(code if isinstance(code, int) else 0)
