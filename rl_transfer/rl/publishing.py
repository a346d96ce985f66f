"""A policy as files that others load: our bundle, Stable-Baselines3's zip, an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rl_transfer.frame import ONLY_BUNDLES, bundle_folder, copy_bundle
from rl_transfer.results.published import PublishedPolicy
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.described import as_spec
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.policies.export import STATISTICS_NAME, export_sb3
from rl_transfer.rl.policies.onnx_graph import export_onnx
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import Environment
from rl_transfer.spec.base import Json
from rl_transfer_envs import EnvError, canonical
from rl_transfer_envs.show.catalogue import show_rows

FILES = {
    "bundle.json": "what the policy is: network, spaces, environment, training",
    "tensors.safetensors": "its weights and normalisation statistics",
}


def publish_policy(argument: str, folder: Path, onnx: bool) -> PublishedPolicy:
    """Write a policy so that this package, and plain Stable-Baselines3, load it.

    Args:
        argument: bundle, run folder, or an address such as ``results/x:heavy/fine-tune/0``.
        folder: an empty folder.
        onnx: write the policy as an ONNX graph too.

    Returns:
        What was written, and of what.

    Raises:
        BundleError: there is no such bundle, it was altered, or no graph of it acts like it.
        MissingExtraError: the libraries of ONNX are not installed.
    """
    bundle = bundle_folder(Path(argument), hint=ONLY_BUNDLES)
    policy = load_policy(bundle)
    copy_bundle(bundle, folder, policy.digest)
    found = _with_zip(_described(policy), policy, folder)
    return _with_graph(found, folder) if onnx else found


def _described(policy: Policy) -> PublishedPolicy:
    space = policy.module.observation_space, policy.module.action_space
    return PublishedPolicy(
        algorithm=policy.algorithm.name,
        package=traits_of(policy.algorithm.name).package,
        policy=policy.algorithm.policy,
        env=policy.described_env.id,
        arguments=policy.described_env.kwargs,
        perturbations=[*_perturbations(policy.described_env)],
        observations=spaces.in_short(space[0]),
        actions=spaces.in_short(space[1]),
        parameters=sum(each.numel() for each in policy.module.parameters()),
        steps=policy.metadata.get("training", {}).get("total_steps"),
        digest=policy.digest,
        files=FILES,
        sb3=None,
        vec_normalize=None,
        onnx=None,
        notes=[str(note) for note in policy.metadata.get("notes") or ()],
    )


def _with_zip(found: PublishedPolicy, policy: Policy, folder: Path) -> PublishedPolicy:
    if policy.metadata.get("progressive"):
        note = "There is no zip for Stable-Baselines3, which does not know the network's progressive column"
        return replace(found, notes=[*found.notes, note])
    name = f"{found.name}.zip"
    export_sb3(folder, folder / name)
    files = {**found.files, name: f"the same policy for Stable-Baselines3: `{found.algorithm}.load`"}
    statistics = STATISTICS_NAME if (folder / STATISTICS_NAME).exists() else None
    if statistics is not None:
        files[statistics] = "its normalisation statistics for Stable-Baselines3: `VecNormalize.load`"
    return replace(found, files=files, sb3=name, vec_normalize=statistics)


def _with_graph(found: PublishedPolicy, folder: Path) -> PublishedPolicy:
    name = f"{found.name}.onnx"
    agreed = export_onnx(folder, folder / name)
    what = f"the same policy as an ONNX graph: {agreed}"
    return replace(found, files={**found.files, name: what}, onnx=name)


def _perturbations(env: Environment) -> Iterator[str]:
    """Each perturbation with what it changes; as it is given where the environment is not installed."""
    try:
        entries: Sequence[Mapping[str, Json]] = canonical(as_spec(env))["perturb"]
        rows = {row["name"]: row for row in show_rows(env.id)}
    except EnvError:
        entries, rows = env.perturb, {}
    for entry in entries:
        for name, value in entry.items():
            inner = value if isinstance(value, dict) else {"": value}
            for key, each in inner.items():
                row = rows.get(f"{name}.{key}" if key else name)
                where = f"{name} {key}".strip()
                yield f"{where}: {each}{_explained(row)}"


def _explained(row: dict[str, str] | None) -> str:
    if row is None:
        return ""
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    return f" ({row['summary']}; as registered: {row['default']}{unit})"
