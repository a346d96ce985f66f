"""The Hugging Face Hub: whether it can be reached, files that are fetched, folders that are sent there."""

from __future__ import annotations

import glob
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Literal
from urllib.parse import urlsplit

from rl_transfer import bounded
from rl_transfer.errors import BundleError, MissingExtraError

SCHEME = "hf://"
ANSWER_SECONDS = 2.0
"""How long the Hub may take to accept a connection; its own library would try for most of a minute."""

_BUNDLE = ("bundle.json", "tensors.safetensors")
_ADDRESS = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>(?!.*\.\.)[\w./-]+\.zip))?(?:@(?P<revision>[\w./-]+))?"
)
_MOST_BYTES = 2**23
_BESIDE = frozenset({".gitattributes", "README.md"})
"""What a repository has that was made on the Hub's own page."""


@dataclass(frozen=True)
class Contents:
    """What is sent into a repository of its own, and how it is known again there.

    Attributes:
        repo_type: as the Hub calls it.
        address: what an address looks like; its group is ``user/repository``.
        expected: the same for people.
        mark: a file that every repository of ours has.
        is_ours: whether the content of that file says so.
        stale: names at the top that what was published before may have left.
    """

    repo_type: Literal["model", "dataset"]
    address: re.Pattern[str]
    expected: str
    mark: str
    is_ours: Callable[[bytes], bool]
    stale: re.Pattern[str]


@cache
def answers(endpoint: str) -> bool:
    """Whether anybody accepts a connection there; where a proxy stands between, that is not asked.

    Args:
        endpoint: address of the Hub.

    Returns:
        The answer of the first time in this process.
    """
    from urllib.request import getproxies  # takes time, and most commands ask for no address

    if {"http", "https", "all"} & getproxies().keys():
        return True
    address = urlsplit(endpoint)
    port = address.port or (80 if address.scheme == "http" else 443)
    answered = threading.Event()

    def knock() -> None:
        with suppress(OSError), socket.create_connection((address.hostname, port), ANSWER_SECONDS):
            answered.set()

    # Looking up a name knows no limit of time: in a thread that may be left behind.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return answered.is_set()


class HubTarget:
    """A repository on the Hub that a folder is sent to; whether that can be done is found out at once.

    Args:
        address: as ``contents`` expects it.
        contents: what is to be sent there.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: the address is malformed, the Hub cannot be reached, there is no token, or the repository
            holds something that is not ours.
    """

    def __init__(self, address: str, contents: Contents) -> None:
        found = contents.address.fullmatch(address)
        if found is None:
            raise BundleError(f"{address!r} is no repository on the Hub; expected {contents.expected}")
        self.repository = found[1]
        self._contents, self._hub = contents, _library()
        if self._hub.constants.HF_HUB_OFFLINE or not answers(self._hub.constants.ENDPOINT):
            option = "" if contents.repo_type == "model" else f" --repo-type {contents.repo_type}"
            raise BundleError(
                "the Hub cannot be reached; write into a folder now, and send it later: "
                f"`hf upload {self.repository} FOLDER{option}`"
            )
        if self._hub.get_token() is None:
            raise BundleError(
                "the Hub wants a token with the right to write: `hf auth login`, or the variable HF_TOKEN"
            )
        with self._told():
            self._there()

    def send(self, folder: Path, *, private: bool) -> None:
        """Create the repository if there is none, and send all files of a folder.

        What was published there is replaced, its files that the new content lacks are deleted; older commits
        keep them.

        Args:
            folder: its files and no folders, the mark among them.
            private: whether a repository that is created is private; one that exists stays what it is.

        Raises:
            BundleError: the Hub refuses, or the repository holds something that is not ours by now.
        """
        kind, stale = self._contents.repo_type, self._contents.stale
        with self._told():
            api = self._hub.HfApi()
            api.create_repo(self.repository, repo_type=kind, private=private or None, exist_ok=True)
            there = self._there()
            api.upload_folder(
                repo_id=self.repository,
                repo_type=kind,
                folder_path=folder,
                delete_patterns=[glob.escape(each) for each in there if stale.fullmatch(each)],
                commit_message="Published with rl-transfer",
            )

    def _there(self) -> set[str]:
        """The files of the repository, which must be ours; none where there is no repository yet."""
        kind, mark = self._contents.repo_type, self._contents.mark
        try:
            there = {*self._hub.HfApi().list_repo_files(self.repository, repo_type=kind)}
        except self._hub.errors.RepositoryNotFoundError:
            return set()
        if not there <= _BESIDE and not (mark in there and self._is_ours()):
            raise BundleError(
                f"{self.repository} on the Hub holds something else, and nothing in it is overwritten; "
                "name another repository"
            )
        return there

    def _is_ours(self) -> bool:
        kind, mark = self._contents.repo_type, self._contents.mark
        path = Path(self._hub.hf_hub_download(self.repository, mark, repo_type=kind))
        try:
            return self._contents.is_ours(bounded.read_bytes(path, _MOST_BYTES))
        except ValueError:
            return False

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever the Hub answers, in a sentence."""
        try:
            yield
        except self._hub.errors.HfHubHTTPError as error:
            code = getattr(error.response, "status_code", None)
            what = "the token may not write there" if code in (401, 403) else f"the Hub answered {code}"
            reason = " ".join(str(error).split())[:200]
            raise BundleError(f"{self.repository} cannot be written: {what} ({reason})") from None
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BundleError(f"{self.repository} cannot be written: {reason}") from None


@dataclass(frozen=True)
class Address:
    """``hf://org/repository[/file.zip][@revision]``.

    Attributes:
        repository: ``org/repository``.
        file: a zip in it; None: the policy that the repository is about.
        revision: branch, tag or commit; None: the newest.
    """

    repository: str
    file: str | None
    revision: str | None

    @property
    def zip(self) -> str:
        """The zip that is meant, by the convention of rl-zoo where none is named."""
        return self.file or f"{self.repository.partition('/')[2]}.zip"


def read_address(text: str) -> Address:
    """Read the address of a policy.

    >>> read_address("hf://sb3/ppo-CartPole-v1@v1.0")
    Address(repository='sb3/ppo-CartPole-v1', file=None, revision='v1.0')

    Args:
        text: as a user gives it.

    Returns:
        Its parts.

    Raises:
        BundleError: it is malformed.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise BundleError(
            f"{text!r} is no address on the Hub; expected hf://org/repository, "
            "hf://org/repository/file.zip, either with @revision"
        )
    return Address(found["repository"], found["file"], found["revision"])


def fetch_policy(text: str) -> Path:
    """Download a policy, or find it in the local cache.

    Args:
        text: an address.

    Returns:
        The folder of a bundle of ours where the repository has one and no zip is named, a zip otherwise.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: the address is malformed, there is no such repository, revision or file, or the Hub
            cannot be reached and the policy is not in the cache.
    """
    return find_bundle(text) or fetch_zip(read_address(text))


def find_bundle(text: str) -> Path | None:
    """Download the bundle of a repository that has one of ours, or find it in the local cache.

    Args:
        text: an address; one that names a zip means that zip.

    Returns:
        A folder with the bundle; None where the repository has none, or offline where nobody knows.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: the address is malformed; the repository has half of a bundle, or its other half cannot
            be had.
    """
    address = read_address(text)
    if address.file is not None:
        return None
    try:
        described = download(address.repository, _BUNDLE[0], address.revision)
    except BundleError:
        return None  # the zip is asked for next, and its error tells
    return described and _whole(address, described)


def fetch_bundle(text: str) -> Path:
    """As :func:`find_bundle`, where nothing but a bundle will do.

    Args:
        text: an address.

    Returns:
        A folder with the bundle.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: the address is malformed or names a zip; the repository has no bundle, or it cannot be
            had.
    """
    address = read_address(text)
    described = None if address.file else download(address.repository, _BUNDLE[0], address.revision)
    if described is None:
        raise BundleError(
            f"{text}: expected hf://org/repository with a bundle, as `rl-transfer policies publish` writes it"
            + (f"; {address.repository} has no {_BUNDLE[0]}" if address.file is None else "")
        )
    return _whole(address, described)


def fetch_zip(address: Address) -> Path:
    """Download the zip of a policy, or find it in the local cache.

    Args:
        address: of the policy; where it names no file, the zip is called like the repository.

    Returns:
        The zip, in the cache.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: there is no such repository, revision or file, or it cannot be had.
    """
    repository = address.repository
    found = download(repository, address.zip, address.revision)
    if found is None:
        raise BundleError(
            f"{repository} on the Hub has no {address.zip}; name its file: hf://{repository}/file.zip "
            f"(its files: https://huggingface.co/{repository}/tree/{address.revision or 'main'})"
        )
    return found


def download(repository: str, name: str, revision: str | None) -> Path | None:
    """Download a file of a repository of models, or find it in the local cache.

    Args:
        repository: ``user/repository``.
        name: of the file.
        revision: branch, tag or commit; None: the newest.

    Returns:
        Its path in the cache; None where the repository has no such file.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: there is no such repository or revision, or the file cannot be had.
    """
    hub = _library()
    errors = hub.errors
    try:
        offline = not answers(hub.constants.ENDPOINT)
        return Path(hub.hf_hub_download(repository, name, revision=revision, local_files_only=offline))
    except errors.LocalEntryNotFoundError:
        if _known_absent(hub, repository, name, revision):
            return None
        raise BundleError(
            f"{name} of {repository} is not in the local cache, and the Hub cannot be reached; "
            "try again with a connection, or download the files and give their path"
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


def _whole(address: Address, described: Path) -> Path:
    """The folder of a bundle whose description is there."""
    for name in _BUNDLE[1:]:
        if download(address.repository, name, address.revision) is None:
            raise BundleError(f"{address.repository} on the Hub has a {_BUNDLE[0]}, but no {name}")
    return described.parent


def _known_absent(hub: ModuleType, repository: str, name: str, revision: str | None) -> bool:
    """Whether the cache remembers that the repository has no such file."""
    found = hub.try_to_load_from_cache(repository, name, revision=revision)
    return found is not None and not isinstance(found, str)


def _library() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise MissingExtraError("the Hub needs huggingface_hub: pip install 'rl-transfer[hub]'") from None
    library: ModuleType = huggingface_hub
    return library
