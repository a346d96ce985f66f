"""Policies on the Hugging Face Hub: ``hf://org/repository[/file.zip][@revision]``.

The convention of huggingface_sb3 and rl-zoo: the repository ``{org}/{algorithm}-{environment}`` holds
``{algorithm}-{environment}.zip`` and, where observations were normalised, ``vec_normalize.pkl``. A repository
that ``policies publish`` wrote holds a bundle of ours beside them, which says more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rl_transfer.errors import BundleError, MissingExtraError
from rl_transfer.hub import answers
from rl_transfer.rl.sources.upbringing import CONFIG_NAME
from rl_transfer.rl.sources.vec_normalize import FILE_NAMES

BUNDLE_FILES = ("bundle.json", "tensors.safetensors")
_ADDRESS = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>(?!.*\.\.)[\w./-]+\.zip))?(?:@(?P<revision>[\w./-]+))?"
)


@dataclass(frozen=True)
class HubFiles:
    """Downloaded files, in the Hub's own cache.

    Attributes:
        policy: the zip.
        statistics: the ``VecNormalize`` file, if the repository has one.
        config: rl-zoo's ``config.yml``, if the repository has one.
        repository: ``org/name``.
    """

    policy: Path
    statistics: Path | None
    config: Path | None
    repository: str


def fetch(address: str) -> HubFiles:
    """Download a policy, or find it in the local cache.

    Args:
        address: ``hf://org/repository[/file.zip][@revision]``; a revision is a branch, tag or commit.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: the address is malformed, there is no such repository, revision or file, or the
            Hub cannot be reached and the file is not in the cache.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise BundleError(
            f"{address!r} is no address on the Hub; expected hf://org/repository, "
            "hf://org/repository/file.zip, either with @revision"
        )
    repository, revision = found["repository"], found["revision"]
    name = found["file"] or f"{repository.partition('/')[2]}.zip"
    policy = _download(repository, name, revision)
    if policy is None:
        raise BundleError(
            f"{repository} on the Hub has no {name}; name its file: hf://{repository}/file.zip "
            f"(its files: https://huggingface.co/{repository}/tree/{revision or 'main'})"
        )
    folder = name.rpartition("/")[0]
    above = f"{folder}/" if folder else ""
    asked = (_download(repository, above + each, revision) for each in FILE_NAMES)
    statistics = next((each for each in asked if each is not None), None)
    config = _download(repository, above + CONFIG_NAME, revision)
    return HubFiles(policy, statistics, config, repository)


def fetch_bundle(address: str) -> Path | None:
    """Download the bundle of a repository that has one of ours, or find it in the local cache.

    Args:
        address: ``hf://org/repository[@revision]``; one that names a file means that file.

    Returns:
        A folder with the bundle; None where the repository has none, or offline where nobody knows.

    Raises:
        BundleError: the repository has half of a bundle, or its other half cannot be had.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or found["file"]:
        return None
    try:
        described = _download(found["repository"], BUNDLE_FILES[0], found["revision"])
    except BundleError:
        return None  # the zip is asked for next, and its error tells
    if described is None:
        return None
    for name in BUNDLE_FILES[1:]:
        if _download(found["repository"], name, found["revision"]) is None:
            raise BundleError(f"{found['repository']} on the Hub has a {BUNDLE_FILES[0]}, but no {name}")
    return described.parent


def _download(repository: str, name: str, revision: str | None) -> Path | None:
    """The file's path in the cache; None where the repository has no such file."""
    try:
        import huggingface_hub as hub
        from huggingface_hub import constants, errors
    except ImportError:
        raise MissingExtraError(
            "policies on the Hub need huggingface_hub: pip install 'rl-transfer[hub]'"
        ) from None
    try:
        offline = not answers(constants.ENDPOINT)
        return Path(hub.hf_hub_download(repository, name, revision=revision, local_files_only=offline))
    except errors.LocalEntryNotFoundError:
        if _known_absent(hub, repository, name, revision):
            return None
        raise BundleError(
            f"{name} of {repository} is not in the local cache, and the Hub cannot be reached; "
            "try again with a connection, or download the files and give the zip's path"
        ) from None
    except errors.RepositoryNotFoundError:
        raise BundleError(f"there is no public repository {repository} on the Hub") from None
    except errors.RevisionNotFoundError:
        raise BundleError(f"{repository} on the Hub has no revision {revision!r}") from None
    except errors.EntryNotFoundError:
        return None
    except (OSError, ValueError) as error:  # refused access, broken downloads, malformed names
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BundleError(f"{name} of {repository} cannot be downloaded from the Hub: {reason}") from None


def _known_absent(hub: ModuleType, repository: str, name: str, revision: str | None) -> bool:
    """Whether the cache remembers that the repository has no such file."""
    found = hub.try_to_load_from_cache(repository, name, revision=revision)
    return found is not None and not isinstance(found, str)
