"""Reading Stable-Baselines3's zip files: tensors and plain JSON, never the pickles beside them."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from torch import Tensor

from rl_transfer import bounded
from rl_transfer.core.archives import file_digest, open_archive, unpack
from rl_transfer.errors import BundleError
from rl_transfer.rl.sources.tensor_files import load_tensors
from rl_transfer.spec.base import Json

_MOST_TEXT_BYTES = 32 * 2**20
"""Hyperparameters with the last observations among them; those of an Atari agent take 1 MiB."""

_VARIABLES = ("pytorch_variables.pth", "tensors.pth")  # its name since, and before, SB3 0.9
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError,
    UnicodeDecodeError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class ForeignPolicy:
    """What can be read off a foreign policy without running anything of it.

    Attributes:
        state: the policy's tensors by SB3's names.
        data: the plain part of SB3's ``data``; None where there is none. Whatever SB3 pickled
            into it is left out; what it printed beside the pickles is kept.
        log_ent_coef: SAC's and TQC's learned log entropy coefficient.
        versions: library → version, of the machine that trained it.
        format: ``stable-baselines3 zip`` or ``state dict``.
        sha256: of the file.
    """

    state: Mapping[str, Tensor]
    data: Mapping[str, Json] | None
    log_ent_coef: float | None
    versions: Mapping[str, str]
    format: str
    sha256: str


def read_zip(path: Path) -> ForeignPolicy:
    """Read an SB3 zip; no pickle in it is opened and nothing is extracted to disk.

    Args:
        path: the zip, as ``model.save`` writes it.

    Returns:
        Its tensors and what it says in plain JSON.

    Raises:
        BundleError: the file is missing, truncated, no SB3 zip, built to harm, or its tensors are
            damaged or not finite.
    """
    try:
        digest, stream = file_digest(path), path.open("rb")
    except ValueError as error:
        raise BundleError(f"{path} is refused: {error}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    try:
        with stream, open_archive(stream, path.name) as archive:
            return _read(archive, path.name, digest)
    except _DAMAGE as error:
        raise BundleError(f"{path.name} is truncated or no zip file: {error}") from None


def _read(archive: zipfile.ZipFile, where: str, sha256: str) -> ForeignPolicy:
    members = _members(archive, where)

    def member(name: str) -> bytes:
        most = None if name.endswith(".pth") else _MOST_TEXT_BYTES
        return unpack(archive, members[name], where, most)

    if "policy.pth" not in members:
        listed = ", ".join(sorted(members)[:8]) or "nothing"
        raise BundleError(
            f"{where} is no Stable-Baselines3 zip: it has no policy.pth. It holds: {listed}. "
            "Save one with model.save(…)."
        )
    state = load_tensors(member("policy.pth"), f"{where}: policy.pth")
    if not state:
        raise BundleError(f"{where}: policy.pth holds no tensors")
    data = _json(member("data"), where) if "data" in members else None
    versions = _versions(member("system_info.txt")) if "system_info.txt" in members else {}
    if "_stable_baselines3_version" in members:
        versions["stable-baselines3"] = member("_stable_baselines3_version").decode("utf-8", "replace")[:40]
    variables = next((name for name in _VARIABLES if name in members), None)
    entropy = _log_ent_coef(member(variables), f"{where}: {variables}") if variables else None
    return ForeignPolicy(state, data, entropy, versions, "stable-baselines3 zip", sha256)


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        if (
            name.startswith(("/", "\\"))
            or ".." in PurePosixPath(name.replace("\\", "/")).parts
            or ":" in name
        ):
            raise BundleError(f"{where} is refused: its member {name[:80]!r} points outside the archive")
        if name in members:
            raise BundleError(f"{where} is refused: it holds {name[:80]!r} twice")
        members[name] = info
    return members


def _json(content: bytes, where: str) -> dict[str, Json]:
    try:
        data = _plain(cast("Json", bounded.parse_json(content)))
    except ValueError as error:
        raise BundleError(f"{where}: its data are no JSON: {error}") from None
    if not isinstance(data, dict):
        raise BundleError(f"{where}: its data are a {type(data).__name__}, expected an object")
    return data


def _plain(value: Json) -> Json:
    """The value without SB3's pickles (base64 under ``:serialized:``)."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key != ":serialized:"}
    return value


def _versions(content: bytes) -> dict[str, str]:
    """``- Python: 3.8.10`` … → ``{"python": "3.8.10", …}``; the operating system is left out."""
    lines = re.findall(
        r"^-? ?([\w -]{1,40}): ([\w.+-]{1,40})$", content.decode("utf-8", "replace"), re.MULTILINE
    )
    return {name.lower().replace(" ", "-"): version for name, version in lines if name != "GPU Enabled"}


def _log_ent_coef(content: bytes, where: str) -> float | None:
    """``log_ent_coef`` of ``pytorch_variables.pth``, which is empty for algorithms without it."""
    found = load_tensors(content, where).get("log_ent_coef")
    return float(found) if found is not None and found.numel() == 1 else None
