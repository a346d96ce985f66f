"""Weight files: which one a config means, where it must lie, whether it is the right one.

Nothing is downloaded unless the config says so. A cached file is hashed here every time: torch does
not hash a file again that is already in its cache.
"""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image.backbones import library, weights_enum
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.image_model import (
    Backbone,
    SmallResNetConfig,
    TimmConfig,
    TorchvisionConfig,
    WeightsConfig,
)
from rl_transfer.spec.labelled import file_digest


def find_entry(config: Backbone, weights: WeightsConfig, key: str) -> Any | None:
    """The enum entry of torchvision that ``weights.name`` means.

    Args:
        config: the architecture.
        weights: may name an entry.
        key: config path of them, for errors.

    Returns:
        The entry; None for a file or a timm model.

    Raises:
        ConfigError: the architecture has no such weights.
    """
    if weights.name is None or isinstance(config, TimmConfig):
        return None
    if isinstance(config, SmallResNetConfig):
        raise ConfigError(
            f"weights name {weights.name!r}: small-resnet has no published weights; give a file, or a bundle "
            "as the source of a transfer",
            key=f"{key}.name",
        )
    entries = weights_enum(config.architecture)
    if weights.name == "DEFAULT" and entries:
        return entries[-1]
    for entry in entries:
        if weights.name in (entry.name, str(entry)):
            return entry
    names = ", ".join(["DEFAULT", *(entry.name for entry in entries)])
    raise ConfigError(
        f"torchvision's {config.architecture} has no weights {weights.name!r}; it has {names}",
        key=f"{key}.name",
    )


def entry_of_hash(config: Backbone, sha256: str) -> Any | None:
    """The enum entry whose published file has this hash, so that a copied file keeps its metadata.

    Args:
        config: the architecture.
        sha256: of a file, in hex.

    Returns:
        The entry; None if no published file of torchvision has that hash.
    """
    if not isinstance(config, TorchvisionConfig):
        return None
    for entry in weights_enum(config.architecture):
        digits = _digits_in(Path(entry.url).name)
        if digits and sha256.startswith(digits):
            return entry
    return None


def weights_path(config: Backbone, weights: WeightsConfig, entry: Any | None, key: str) -> Path:
    """The file on disk.

    Args:
        config: the architecture.
        weights: a file, or a name.
        entry: what the name means in torchvision.
        key: config path of the weights, for errors.

    Returns:
        A path that exists.

    Raises:
        BundleError: it is not there.
    """
    if weights.file is not None:
        path = resolve_file(weights.file, key)
        if not path.is_file():
            raise BundleError(
                f"the weights file {path} does not exist; put it there or correct {key}.file", key=key
            )
        return path
    if entry is not None:
        return _torchvision_path(entry, weights, key)
    return _timm_path(config, weights, key)


def _torchvision_path(entry: Any, weights: WeightsConfig, key: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(entry.url).name
    if not path.is_file() and weights.download:
        entry.get_state_dict(progress=False, check_hash=True)
    if not path.is_file():
        raise _absent(str(entry), path, entry.url, key)
    return path


def _timm_path(config: Backbone, weights: WeightsConfig, key: str) -> Path:
    """The cached file of a timm architecture's pretrained tag."""
    timm = library("timm")
    name = config.architecture if isinstance(config, TimmConfig) else ""
    if name.startswith(("local-dir:", "local_dir:")):
        folder = Path(name.partition(":")[2])
        found = next((folder / f for f in _HUB_FILES if (folder / f).is_file()), None)
        if found is None:
            raise BundleError(f"{folder} holds none of {', '.join(_HUB_FILES)}", key=key)
        return found
    if name.startswith(("hf-hub:", "hf_hub:")):
        return _hub_path(name.partition(":")[2], None, weights, key)
    overlay = config.kwargs.get("pretrained_cfg_overlay") if isinstance(config, TimmConfig) else None
    if isinstance(overlay, dict) and overlay.get("file"):
        return resolve_file(str(overlay["file"]), key)
    tagged = name if weights.name in (None, "DEFAULT") else f"{name.partition('.')[0]}.{weights.name}"
    settings = timm.get_pretrained_cfg(tagged)
    if settings is None or not (settings.hf_hub_id or settings.url or settings.file):
        tags = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise ConfigError(f"timm has no pretrained weights {tagged!r}; it has {tags or 'none'}", key=key)
    if settings.file:
        return Path(settings.file)
    if settings.hf_hub_id:
        repository = settings.hf_hub_id
        whole = f"{repository}{tagged}" if repository.endswith("/") else repository
        return _hub_path(whole, settings.hf_hub_filename, weights, key)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(settings.url).name
    if not path.is_file() and weights.download:
        torch.hub.download_url_to_file(settings.url, str(path), progress=False)
    if not path.is_file():
        raise _absent(f"timm's {tagged}", path, settings.url, key)
    return path


_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def _hub_path(repository: str, file: str | None, weights: WeightsConfig, key: str) -> Path:
    """In the cache of the Hub, or a copy that somebody put into the repository's folder there."""
    hub = importlib.import_module("huggingface_hub")  # comes with timm
    folder = Path(hub.constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    names = _HUB_FILES if file is None else (file,)
    for name in names:
        found = hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
        if (folder / name).is_file():
            return folder / name
    if weights.download:
        return Path(hub.hf_hub_download(repository, names[0]))
    address = f"https://huggingface.co/{repository}/resolve/main/{names[0]}"
    raise _absent(f"timm's {repository}", folder / names[0], address, key)


def _absent(what: str, path: Path, url: str, key: str) -> BundleError:
    return BundleError(
        f"the weights {what} are not on this machine: there is no {path.name} in {path.parent}, and nothing "
        f"is downloaded by itself. Fetch {url} on a machine that may, and copy it to {path}; or name a file "
        f"of yours ({key}: {{file: PATH}}); or allow the download ({key}.download: true)",
        key=key,
    )


def checked_hash(path: Path, weights: WeightsConfig, key: str) -> str:
    """The file's SHA-256, after comparing it with what the config and the file's name promise.

    Args:
        path: the file.
        weights: may state a hash.
        key: config path of them, for errors.

    Returns:
        64 hex digits.

    Raises:
        BundleError: the file has another hash than promised.
    """
    found = file_digest(path)
    if found is None:
        raise BundleError(f"the weights file {path} cannot be read", key=key)
    for origin, digits in (("the config", weights.sha256), ("its name", _digits_in(path.name))):
        if digits is not None and not found.startswith(digits):
            raise BundleError(
                f"{path} is not the file that {origin} promises: its SHA-256 begins with "
                f"{found[: len(digits)]}, expected {digits}. It is damaged or another file; fetch it again",
                key=f"{key}.sha256" if origin == "the config" else key,
            )
    return found


def _digits_in(name: str) -> str | None:
    """The hash that torch's naming convention puts into a file name (``resnet18-f37072fd.pth``); no date."""
    found = re.search(r"-([0-9a-f]{8,64})\.(?:pth|pt|bin|safetensors)$", name)
    return found.group(1) if found and not _is_time(found.group(1)) else None


def _is_time(digits: str) -> bool:
    """Whether digits are a date, perhaps with a time: ``20240131``, ``31012024``, ``20240131120000``."""
    if not digits.isdecimal() or len(digits) not in (8, 10, 12, 14):
        return False
    day = digits[:8]
    for year, month, date in (
        (day[:4], day[4:6], day[6:]),
        (day[4:], day[2:4], day[:2]),
        (day[4:], day[:2], day[2:4]),
    ):
        with suppress(ValueError):
            if 1990 <= datetime(int(year), int(month), int(date)).year < 2100:
                return True
    return len(digits) == 10  # seconds since 1970
