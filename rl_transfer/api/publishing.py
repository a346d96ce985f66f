"""A policy or classifier for others, in a new folder or on the Hub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rl_transfer.api.cards import Wanted, write_published
from rl_transfer.api.given import check_path, check_say, check_truth, check_whole
from rl_transfer.api.repositories import NETWORKS
from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.frame import Say, silent
from rl_transfer.hub import SCHEME, HubTarget

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


def publish(
    policy: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    license: str | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    onnx: bool = False,
    private: bool = False,
    say: Say = silent,
) -> str:
    """Write a policy or classifier for others: bundle, config, model card; of a policy SB3's zip too.

    Args:
        policy: a bundle, a run folder, an address such as ``results/x:heavy/fine-tune/0``, or what
            ``rt.train`` and ``rt.transfer`` give.
        target: the new folder (one that exists must be empty), or ``hf://user/repository`` on the Hugging
            Face Hub (extra ``hub``), created if there is none.
        license: as the Hub writes it, ``mit``; None: the card says that none was given.
        episodes: how many are played for the card's score, in the policy's own environment; 0: none; None:
            100. A classifier plays none, it is measured on its test part.
        seed: root seed of the episodes; None: 0.
        onnx: write it as an ONNX graph too (extra ``onnx``).
        private: whether a repository that is created is private.
        say: gets a line now and then.

    Returns:
        The folder or address; it is a source, and can be evaluated, like any other bundle.

    Raises:
        BundleError: there is no such policy, it was altered, no graph acts like it, or the Hub refuses.
        StoreError: the folder is not empty, or cannot be written.
        ConfigError: an argument is malformed, ``private`` and a folder were given, or something that only
            policies have was asked of a classifier.
        EnvironmentSpecError: the policy's environment cannot be built.
        MissingExtraError: an extra that is needed is not installed.
    """
    for name, path in (("policy", policy), ("target", target)):
        check_path(name, path, needed=True)
    for name, number in (("episodes", episodes), ("seed", seed)):
        check_whole(name, number, 0)
    for name, truth in (("onnx", onnx), ("private", private)):
        check_truth(name, truth)
    check_say(say)
    argument, place = os.fspath(policy), os.fspath(target)
    wanted = Wanted(argument, checked_licence(license), episodes, seed, onnx)
    refuse_private_folder(place, private)
    if not place.startswith(SCHEME):
        with new_folder(Path(place)) as scratch:
            write_published(wanted, scratch, "FOLDER", say)
        return place
    hub = HubTarget(place, NETWORKS)
    with tempfile.TemporaryDirectory() as scratch_name:
        write_published(wanted, Path(scratch_name), place, say)
        say("sending it")
        hub.send(Path(scratch_name), private=private)
    return place


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all.

    Args:
        target: it must not exist, or be empty.

    Yields:
        A folder beside it to write into; it becomes the target when the block ends without an error.

    Raises:
        StoreError: something lies there already, or cannot be written.
    """
    scratch = target.absolute().parent / f".{target.absolute().name}.{os.getpid()}.partial"
    missing: list[Path] = []
    try:
        _refuse_occupied(target)
        missing += (each for each in scratch.parents if not each.exists())
        scratch.mkdir(parents=True)
        yield scratch
        if target.exists():
            target.rmdir()  # an empty one; whatever was put there meanwhile stays
        scratch.rename(target)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or error}; choose another folder"
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):  # one that holds the target is not empty
            for each in missing:
                each.rmdir()


def _refuse_occupied(target: Path) -> None:
    if re.match("(?i)hf:/", str(target)):
        raise StoreError(
            f"{target} is no folder; the Hub is addressed as hf://user/repository, a sweep's data set there "
            "as hf://datasets/user/repository"
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise StoreError(f"{target} is no folder; nothing of yours is overwritten, choose another one")
    if target.is_dir() and any(target.iterdir()):
        raise StoreError(f"{target} is not empty, and nothing in it is overwritten; choose another folder")
    if target.is_dir() and target.samefile(Path.cwd()):
        raise StoreError(f"{target} is the folder that you are in; choose a new one")


def refuse_private_folder(place: str, private: bool) -> None:
    """Refuse ``private`` where nothing goes to the Hub.

    Args:
        place: a folder, or an address on the Hub.
        private: what was asked for.

    Raises:
        ConfigError: a private folder.
    """
    if private and not place.startswith(SCHEME):
        raise ConfigError(f"private, and {place} is a folder: name an address on the Hub, or leave it out")


def checked_licence(given: str | None) -> str | None:
    """A licence as the Hub and SPDX write it.

    Args:
        given: by whoever publishes; None: nothing.

    Returns:
        The same in small letters.

    Raises:
        ConfigError: it is no single word.
    """
    if given is None:
        return None
    if isinstance(given, str) and _LICENCE.fullmatch(given.lower()):
        return given.lower()
    raise ConfigError(
        f"licence {given!r}: expected one word as the Hugging Face Hub and SPDX write it, such as mit, "
        "apache-2.0 or cc-by-4.0"
    )
