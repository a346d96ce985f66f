"""``runs list|show|verify|gc``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_transfer.cli.common import AsJson, json_text, out
from rl_transfer.errors import StoreError
from rl_transfer.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rl_transfer.results.inventory import Listed

app = typer.Typer(help="The runs of a sweep: list, look at, verify, tidy up.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The output folder of a sweep.", show_default=False)]


@app.command("list")
def list_(
    folder: Folder,
    finished: Annotated[bool, typer.Option("--finished", help="Only finished runs.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed runs.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Only damaged runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs of a sweep as they can be called, with their ids and states.

    Example: rl-transfer runs list results/quickstart --failed
    """
    from rl_transfer.results.inventory import list_runs

    chosen = {"finished": finished, "failed": failed, "damaged": damaged}
    wanted = {state for state, given in chosen.items() if given}
    runs = [each for each in list_runs(folder) if not wanted or each.reading.state in wanted]
    _print_runs(runs, as_json=as_json)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="FOLDER:TARGET/STRATEGY/SEED, FOLDER:ID, or a run folder.")],
) -> None:
    """Print the record of a run as JSON, without the rows of its plan.

    Example: rl-transfer runs show results/quickstart:longer-pole/fine-tune/0
    """
    from rl_transfer.results import RunFolder, find_run
    from rl_transfer.results.address import is_address, run_at

    path = Path(run)
    if not is_address(path) and not path.is_dir():
        raise StoreError(
            f"{run}: no such run; expected FOLDER:TARGET/STRATEGY/SEED, FOLDER:ID, or its folder"
        )
    folder = RunFolder(run_at(path)) if is_address(path) else find_run(path)
    record = folder.record()
    shown = {key: value for key, value in record.items() if key != "plan"}
    sys.stdout.write(json_text({"folder": str(folder.path), **shown}))


@app.command()
def verify(folder: Folder, as_json: AsJson = False) -> None:
    """Read every file that a result rests on, bundles included; exit code 1 if a run is damaged.

    Example: rl-transfer runs verify results/quickstart
    """
    from rl_transfer.results.inventory import list_runs

    runs = list_runs(folder, bundle=True)
    _print_runs(runs, as_json=as_json)
    if any(each.reading.state == "damaged" for each in runs):
        raise typer.Exit(1)


@app.command()
def gc(
    folder: Folder,
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
) -> None:
    """List what nothing needs: runs without a place in the matrix, damaged ones, what was cut short.

    Nothing is deleted without --yes.

    Example: rl-transfer runs gc results/quickstart
    """
    from rl_transfer.results.inventory import leftovers, remove

    found = remove(folder) if yes else leftovers(folder)
    for each in found:
        out.print(f"{each.size:>14,} B  {each.path}  ({each.why})", soft_wrap=True)
    total = sum(each.size for each in found)
    what = "deleted" if yes else "can be deleted with --yes"
    out.print(f"{counted(len(found), 'thing')}, {total:,} B {what}")


def _print_runs(runs: Sequence[Listed], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"id": e.id, "name": e.name, "state": e.reading.state, "problem": e.reading.problem} for e in runs
        ]
        sys.stdout.write(json_text(rows))
        return
    width = max((len(each.name or "") for each in runs), default=0)
    for each in runs:
        state = each.reading.problem or each.reading.state
        note = "" if each.name else "  (no place in the matrix)"
        out.print(f"{each.name or '-':<{width}}  {each.id}  {state}{note}", soft_wrap=True)
    states = [each.reading.state for each in runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    out.print(f"{counted(len(runs), 'run')}: {counts or 'none'}")
