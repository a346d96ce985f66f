"""``policies inspect|import|export|publish|table``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from rl_transfer.api.given import make_folder_importable, refuse_missing
from rl_transfer.cli.common import (
    Algorithm,
    AsJson,
    License,
    MaskZeros,
    Modules,
    Private,
    err,
    json_alone,
    out,
    say,
)
from rl_transfer.errors import ConfigError

app = typer.Typer(
    help="Policy bundles: look inside, bring foreign policies in, take them to Stable-Baselines3.",
    no_args_is_help=True,
)

Env = Annotated[
    str | None,
    typer.Option("--env", "-e", help="Environment it was trained in, where the file does not tell."),
]


@app.command()
def inspect(
    policy: Annotated[
        str, typer.Argument(help="Bundle, run folder, FOLDER:TARGET/STRATEGY/SEED, SB3 zip, or hf://…")
    ],
    algorithm: Algorithm = None,
    env: Env = None,
    as_json: AsJson = False,
    module: Modules = None,
) -> None:
    """Print the parts of a policy: tensors, shapes, counts, digests.

    Example: rl-transfer policies inspect results/cartpole
    """
    refuse_missing(policy)

    from rl_transfer.core import inventory_table
    from rl_transfer.frame import InspectionHints
    from rl_transfer.sweep.dispatch import bundle_kind, room

    make_folder_importable(env)
    with json_alone() if as_json else nullcontext(say) as write:
        rows = room(bundle_kind(policy)).inspect(policy, InspectionHints(env, algorithm))
        write(json.dumps(list(rows), indent=2) if as_json else inventory_table(rows))


@app.command("import")
def import_(
    policy: Annotated[str, typer.Argument(help="SB3 zip, hf://org/repository, or state dict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new bundle.")],
    algorithm: Algorithm = None,
    env: Env = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="Prefix of tensor names, OLD=NEW; for plain state dicts. May be repeated."),
    ] = None,
    mask_zeros: MaskZeros = False,
    module: Modules = None,
) -> None:
    """Turn a foreign policy into a bundle. Only tensors and plain data are read; no code of it runs.

    Example: rl-transfer policies import ppo-CartPole-v1.zip -o zoo-cartpole
    """
    refuse_missing(policy)

    from rl_transfer.rl.sources.load import import_source
    from rl_transfer.spec.environment import read_environment

    make_folder_importable(env)
    found = import_source(
        policy,
        output,
        env=read_environment(env),
        algorithm=algorithm,
        name_map=_name_map(rename),
        mask_zeros=mask_zeros,
    )
    for note in found.metadata.get("notes", []):
        out.print(f"note: {note}", soft_wrap=True)
    out.print(f"bundle: {output}\ndigest: {found.digest}", soft_wrap=True)


@app.command()
def export(
    policy: Annotated[str, typer.Argument(help="Bundle or run folder.")],
    sb3: Annotated[
        Path | None, typer.Option("--sb3", help="Zip to write; the algorithm's `load` reads it.")
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option("--onnx", help="Graph to write, checked (extra onnx): of a classifier too."),
    ] = None,
    module: Modules = None,
) -> None:
    """Write a policy as a Stable-Baselines3 zip, with its normalisation statistics beside it, or as ONNX.

    A classifier has an ONNX graph only.

    Example: rl-transfer policies export results/cartpole --sb3 cartpole.zip
    """
    from rl_transfer.frame import bundle_folder

    if sb3 is None and onnx is None:
        raise ConfigError("name what to write: --sb3 FILE.zip, --onnx FILE.onnx, or both")
    bundle_folder(Path(policy))  # refused before anything heavy is imported

    from rl_transfer.sweep.dispatch import bundle_kind, room

    if sb3 is not None:
        from rl_transfer.rl.policies.export import export_sb3

        export_sb3(Path(policy), sb3)
        out.print(f"{sb3} written", soft_wrap=True)
    if onnx is not None:
        agreed = room(bundle_kind(policy)).export_graph(policy, onnx)
        out.print(f"{onnx} written: {agreed}", soft_wrap=True)


@app.command()
def publish(
    policy: Annotated[str, typer.Argument(help="Bundle, run folder, or FOLDER:TARGET/STRATEGY/SEED.")],
    target: Annotated[str, typer.Argument(help="The new folder, or hf://user/repository (extra hub).")],
    license: License = None,
    episodes: Annotated[
        int | None,
        typer.Option(min=0, help="Number of seeded episodes for a policy's score; 0: none; default: 100."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Root seed of the episodes; default: 0.")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write it as an ONNX graph too (extra onnx).")] = False,
    private: Private = False,
    module: Modules = None,
) -> None:
    """Write a policy or classifier for others: bundle, config, a model card with its scores.

    Of a policy also the zip of Stable-Baselines3; of a run in a sweep the card tells the verdict. The
    folder is a source like any bundle.

    Example: rl-transfer policies publish results/quickstart:longer-pole/fine-tune/0 my-agent --license mit
    """
    from rl_transfer.frame import ONLY_BUNDLES, bundle_folder

    bundle_folder(Path(policy), hint=ONLY_BUNDLES)  # refused before anything heavy is imported

    from rl_transfer.api.publishing import publish

    with err.status("publishing") as status:
        publish(
            policy, target, license=license, episodes=episodes, seed=seed, onnx=onnx, private=private,
            say=status.update,
        )  # fmt: skip
    out.print(f"{target} written; read its README.md before you share it", soft_wrap=True)


@app.command()
def table(
    folder: Annotated[Path, typer.Argument(help="Folder with SB3 zips, in it and in the folders in it.")],
    episodes: Annotated[int, typer.Option(min=1, help="Number of seeded episodes of each agent.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Root seed of the episodes.")] = 0,
    mask_zeros: MaskZeros = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with returns and notes.")] = False,
    module: Modules = None,
) -> None:
    """Import and play every agent of a folder; compare with the scores that were published beside them.

    Example: rl-transfer policies table rl-trained-agents --episodes 10
    """
    from rl_transfer.rl.agents import table_of

    def say(agent: str) -> None:
        err.print(agent, soft_wrap=True)

    with json_alone() if as_json else nullcontext() as write:
        found = table_of(folder, episodes, seed, mask_zeros=mask_zeros, say=say)
        if write is not None:
            rows = {"agents": [each.plain() for each in found.rows], "notes": [*found.notes]}
            write(json.dumps(rows, indent=2))
        else:
            out.print(found.text(), soft_wrap=True)


def _name_map(renames: list[str] | None) -> dict[str, Any] | None:
    if not renames:
        return None
    pairs = [text.partition("=") for text in renames]
    bad = [text for text, (_, equals, _) in zip(renames, pairs, strict=True) if not equals]
    if bad:
        raise ConfigError(f"--rename {bad[0]!r}: expected OLD=NEW")
    return {old: new for old, _, new in pairs}
