"""``calibrate``: weights for a combined score of sources, from finished sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import out
from rl_transfer.errors import StoreError


def calibrate(
    results: Annotated[list[Path], typer.Argument(help="Folders of finished sweeps of several sources.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")],
    strategy: Annotated[
        str | None, typer.Option(help="Whose gains are predicted; default: the first transfer strategy.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="Judged metric of the gains: auc_gain or asymptotic_gain.")
    ] = "auc_gain",
) -> None:
    """Combine the scores of sources into one, with weights from what sources gained in finished sweeps.

    What the combined score is worth is measured on targets that took no part in its weights. The file keeps
    the gains too: from them `recommend` predicts those of other contexts.

    Example: rl-transfer calibrate results/study --output calibration.json
    """
    from rl_transfer.analysis.calibration_file import calibrated, calibration_lines
    from rl_transfer.api.known_gains import KEY, kept_gains, worth_lines
    from rl_transfer.results import write_json

    found = calibrated(results, strategy, metric)
    try:
        write_json(output, {**found.data, KEY: kept_gains(results, found)})
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error}") from error
    for line in [*calibration_lines(found), *worth_lines(found)]:
        out.print(line, soft_wrap=True)
    out.print(f"calibration: {output}", soft_wrap=True)
