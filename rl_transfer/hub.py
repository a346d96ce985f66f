"""The Hugging Face Hub: whether it can be reached, and folders that are sent there."""

from __future__ import annotations

import glob
import re
import socket
import threading
import urllib.request
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from rl_transfer import bounded
from rl_transfer.errors import BundleError, MissingExtraError

SCHEME = "hf://"
ANSWER_SECONDS = 3.0
"""How long the Hub may take to accept a connection; its own library would try for most of a minute."""

_BUNDLE = "bundle.json"
_MOST_BYTES = 2**23
_STALE = re.compile(r"[^/]+\.(zip|onnx)|vecnormalize\.pkl|config\.yaml")
"""What a policy is published as beside its bundle: another policy's must not stay there."""

_REPOSITORY = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)")


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
        address: ``hf://user/repository``.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        BundleError: the address is malformed, the Hub cannot be reached, or there is no token.
    """

    def __init__(self, address: str) -> None:
        found = _REPOSITORY.fullmatch(address)
        if found is None:
            raise BundleError(f"{address!r} is no repository on the Hub; expected hf://user/repository")
        self.address, self.repository = address, found["repository"]
        self._hub = _library()
        if self._hub.constants.HF_HUB_OFFLINE or not answers(self._hub.constants.ENDPOINT):
            raise BundleError(
                "the Hub cannot be reached; write into a folder now, and send it later: "
                f"`hf upload {self.repository} FOLDER`"
            )
        if self._hub.get_token() is None:
            raise BundleError(
                "the Hub wants a token with the right to write: `hf auth login`, or the variable HF_TOKEN"
            )

    def send(self, folder: Path, *, private: bool) -> None:
        """Create the repository if there is none, and send all files of a policy.

        A policy that was published there is replaced, its files that the new one lacks are deleted; older
        commits keep them.

        Args:
            folder: its files and no folders, a bundle among them.
            private: whether a repository that is created is private; one that exists stays what it is.

        Raises:
            BundleError: the Hub refuses, or the repository holds something that is no policy of ours.
        """
        errors = self._hub.errors
        try:
            api = self._hub.HfApi()
            api.create_repo(self.repository, private=private or None, exist_ok=True)
            there = {*api.list_repo_files(self.repository)}
            if _BUNDLE in there:
                found = _format(Path(api.hf_hub_download(self.repository, _BUNDLE)))
                ours = found == _format(folder / _BUNDLE)
            else:
                ours = there <= {".gitattributes", "README.md"}
            if not ours:
                raise BundleError(
                    f"{self.repository} on the Hub holds something else, and nothing in it is overwritten; "
                    "name another repository"
                )
            api.upload_folder(
                repo_id=self.repository,
                folder_path=folder,
                delete_patterns=[glob.escape(each) for each in there if _STALE.fullmatch(each)],
                commit_message="Published with rl-transfer",
            )
        except errors.HfHubHTTPError as error:
            code = getattr(error.response, "status_code", None)
            what = "the token may not write there" if code in (401, 403) else f"the Hub answered {code}"
            reason = " ".join(str(error).split())[:200]
            raise BundleError(f"{self.repository} cannot be written: {what} ({reason})") from None
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BundleError(f"{self.repository} cannot be written: {reason}") from None


def _format(bundle: Path) -> object:
    """What a ``bundle.json`` says that it is; None where it says nothing."""
    try:
        content = bounded.parse_json(bounded.read_bytes(bundle, _MOST_BYTES))
    except ValueError:
        return None
    return content.get("format") if isinstance(content, dict) else None


def _library() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise MissingExtraError("the Hub needs huggingface_hub: pip install 'rl-transfer[hub]'") from None
    return huggingface_hub
