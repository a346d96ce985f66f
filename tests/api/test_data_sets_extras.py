"""A sweep as a data set on the Hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, constants

from api.test_data_sets import published, sweep
from rl_transfer.api.data_sets import publish_sweep
from rl_transfer.errors import BundleError, ConfigError
from support.cli import calling
from support.hub import Hub, served

__all__ = ["published", "sweep"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    yield from served(tmp_path, monkeypatch)


def test_it_is_sent_to_the_hub_and_replaced_there(
    hub: Hub, sweep: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "writer")
    for name in ("README.md", ".gitattributes"):  # what a repository has that was made on the Hub's page
        hub.files[f"datasets/me/cells@main/{name}"] = b"# my cells\n"
    address = "hf://datasets/me/cells"
    done = calling(capfd)("publish", str(sweep), address, "--license", "cc-by-4.0", "--private")
    assert done.code == 0, done.err
    assert f"{address} written" in done.out
    assert hub.created["datasets/me/cells"]["visibility"] == "private"
    there = {key.removeprefix("datasets/me/cells@main/"): each for key, each in hub.files.items()}
    assert there.pop(".gitattributes")
    assert there == {path.name: path.read_bytes() for path in published.iterdir()}
    header = DatasetCard(there["README.md"].decode()).data.to_dict()
    assert (header["license"], header["configs"][0]["data_files"]) == ("cc-by-4.0", "cells.csv")
    hub.files["datasets/me/cells@main/notes.txt"] = b"mine"
    hub.files["datasets/me/cells@main/suite.yaml"] = b"of another sweep"
    assert publish_sweep(sweep, "hf://me/cells", None) == address, "the same repository again"
    assert hub.files["datasets/me/cells@main/notes.txt"] == b"mine"
    assert ("suite.yaml" in there) == ("datasets/me/cells@main/suite.yaml" in hub.files)


def test_what_stops_its_upload_is_told_before_the_sweep_is_read(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere, address = tmp_path / "no-sweep", "hf://datasets/me/cells"
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(BundleError, match=r"wants a token.*hf auth login"):
        publish_sweep(nowhere, address, None)
    monkeypatch.setenv("HF_TOKEN", "writer")
    foreign = {
        "novel": {"chapter-1.txt": b"It was"},
        "tables": {"README.md": b"# - rl-transfer-sweep\n", "cells.csv": b"a\n1\n"},
        "marked": {"README.md": b"---\nlicense: mit\n---\n- rl-transfer-sweep\n", "cells.csv": b"a\n1\n"},
    }
    for repository, files in foreign.items():
        hub.files |= {f"datasets/me/{repository}@main/{name}": each for name, each in files.items()}
        with pytest.raises(BundleError, match=f"me/{repository} on the Hub holds something else"):
            publish_sweep(nowhere, f"hf://datasets/me/{repository}", None)
    with pytest.raises(BundleError, match="expected hf://datasets/user/repository"):
        publish_sweep(nowhere, "hf://datasets/me", None)
    with pytest.raises(ConfigError, match="private, and data is a folder"):
        publish_sweep(nowhere, "data", None, private=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match=r"hf upload me/cells FOLDER --repo-type dataset"):
        publish_sweep(nowhere, address, None)
    assert not hub.created
