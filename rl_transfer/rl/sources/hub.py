"""Policies on the Hugging Face Hub: ``hf://org/repository[/file.zip][@revision]``.

The convention of huggingface_sb3 and rl-zoo: the repository ``{org}/{algorithm}-{environment}`` holds
``{algorithm}-{environment}.zip`` and, where observations were normalised, ``vec_normalize.pkl``. A repository
that ``policies publish`` wrote holds a bundle of ours beside them, which says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_transfer.hub import download, fetch_zip, read_address
from rl_transfer.rl.sources.upbringing import CONFIG_NAME
from rl_transfer.rl.sources.vec_normalize import FILE_NAMES


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
    where = read_address(address)
    repository, revision = where.repository, where.revision
    policy = fetch_zip(where)
    folder = where.zip.rpartition("/")[0]
    above = f"{folder}/" if folder else ""
    asked = (download(repository, above + each, revision) for each in FILE_NAMES)
    statistics = next((each for each in asked if each is not None), None)
    config = download(repository, above + CONFIG_NAME, revision)
    return HubFiles(policy, statistics, config, repository)
