"""``train``, ``transfer`` and ``evaluate``: one run, or one policy."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_transfer.api.given import located, make_folder_importable, read_config, refuse_missing
from rl_transfer.cli.common import (
    Algorithm,
    Events,
    MaskZeros,
    Modules,
    Output,
    Overrides,
    ReuseDespite,
    environment_names,
    json_alone,
    out,
    say,
    shipped_names,
)
from rl_transfer.cli.tracked import Track, tell_problem

if TYPE_CHECKING:
    from rl_transfer.api.single import SingleRun


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or the name of a shipped train config.", autocompletion=shipped_names("train")
        ),
    ],
    overrides: Overrides = None,
    output: Output = None,
    reuse_despite: ReuseDespite = None,
    track: Track = None,
    events: Events = True,
) -> None:
    """Train one source policy from scratch and keep it as a policy bundle.

    Writes a run folder: learning curve, TensorBoard events, and the bundle that `transfer`,
    `evaluate` and sweeps read. A finished run is never computed twice.

    Example: rl-transfer train cartpole training.total_steps=20480 seed=1
    """
    from rl_transfer.results import RunStore
    from rl_transfer.sweep.dispatch import TRAIN

    loaded = read_config(config, TRAIN, "train", overrides)
    with located(loaded):
        from rl_transfer.api.single import train_one

        store = RunStore(output or Path("results", loaded.config.name), events=events)
        done = train_one(loaded.config, store, track, (reuse_despite or "").split(","), say)
    _tell(done)


def transfer(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or the name of a shipped transfer config.",
            autocompletion=shipped_names("transfer"),
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--source",
            "-s",
            help="Policy bundle, folder of a finished run, SB3 zip or hf://org/repository; for image "
            "classifiers also torchvision/NAME or timm/NAME.",
            show_default=False,
        ),
    ],
    overrides: Overrides = None,
    output: Output = None,
    reuse_despite: ReuseDespite = None,
    module: Modules = None,
    track: Track = None,
    events: Events = True,
) -> None:
    """Transfer one source policy into one target environment with one strategy.

    Prints the transfer plan (what is copied, reset, frozen and why), trains, and writes a run folder.

    Example: rl-transfer transfer cartpole-reversed --source results/cartpole
    """
    from rl_transfer.results import RunStore
    from rl_transfer.sweep.dispatch import TRANSFER

    loaded = read_config(config, TRANSFER, "transfer", overrides)
    with located(loaded):
        refuse_missing(source, loaded.config.kind)
        store = RunStore(output or Path("results", loaded.config.name), events=events)
        from rl_transfer.api.single import transfer_one

        despite = (reuse_despite or "").split(",")
        done = transfer_one(loaded.config, source, store, track, despite, say)
    _tell(done)


def evaluate(
    bundle: Annotated[str, typer.Argument(help="Bundle, run folder, SB3 zip, or hf://org/repository.")],
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            "-e",
            help="Gymnasium id, shipped target or YAML file; default: the environment it was trained in.",
            show_default=False,
            autocompletion=environment_names,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="For image classifiers: folder or YAML file of images; default: what it was trained on.",
            show_default=False,
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of seeded episodes; default: 100.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Root seed of the episodes; default: 0.", show_default=False),
    ] = None,
    algorithm: Algorithm = None,
    mask_zeros: MaskZeros = False,
    stochastic: Annotated[bool, typer.Option(help="Sample actions instead of taking the best.")] = False,
    success: Annotated[
        str | None,
        typer.Option(
            help="A success is: a least return, or the entry of an episode's last info that says so.",
            metavar="RETURN|INFO",
            show_default=False,
        ),
    ] = None,
    trunk: Annotated[
        str | None,
        typer.Option(
            help="For image classifiers: another one, whose trunk the head is put behind.", show_default=False
        ),
    ] = None,
    coral: Annotated[
        bool,
        typer.Option("--coral", help="For image classifiers: match features to those of its training data."),
    ] = False,
    unlabelled: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Images, without labels, that --trunk or --coral learns from; default: 256.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every return.")] = False,
    module: Modules = None,
) -> None:
    """Play seeded episodes with a policy, in any environment with matching spaces.

    An image classifier is measured on the test images of its data, or of --data. With --success the share of
    successful episodes is told with its 95 % interval.

    Example: rl-transfer evaluate ppo-CartPole-v1.zip --env cartpole-longer-pole --episodes 50
    """
    refuse_missing(bundle)

    from rl_transfer.api.measuring import measure_one, read_success
    from rl_transfer.frame import EvaluationRequest

    make_folder_importable(env)
    deterministic = False if stochastic else None
    rule = read_success(success)
    request = EvaluationRequest(
        env,
        data,
        episodes,
        seed,
        deterministic,
        algorithm,
        mask_zeros or None,
        rule,
        trunk,
        coral or None,
        unlabelled,
    )
    with json_alone() if as_json else nullcontext(say) as write:
        measured = measure_one(bundle, request)
        write(json.dumps(measured.data, indent=2) if as_json else measured.text)


def _tell(done: SingleRun) -> None:
    folder, points, labels = done.files, done.points, done.labels
    tell_problem(done.problem)
    first, last = (sum(point["returns"]) / len(point["returns"]) for point in (points[0], points[-1]))
    out.print(
        f"{labels.measure} {first:.4g} at {points[0]['step']:,}, {last:.4g} at {points[-1]['step']:,} "
        f"{labels.unit}\n"
        f"run folder:  {folder.path}\nbundle:      {folder.bundle}"
        + (f"\nTensorBoard: tensorboard --logdir {folder.path}" if folder.tensorboard.is_dir() else ""),
        soft_wrap=True,
    )
