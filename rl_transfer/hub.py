"""The Hugging Face Hub: whether it can be reached, and folders that are sent there."""

from __future__ import annotations

import glob
import re
import socket
import threading
import urllib.request
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
ANSWER_SECONDS = 3.0
"""How long the Hub may take to accept a connection; its own library would try for most of a minute."""

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
    if {"http", "https", "all"} & urllib.request.getproxies().keys():
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


def _library() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise MissingExtraError("the Hub needs huggingface_hub: pip install 'rl-transfer[hub]'") from None
    return huggingface_hub
