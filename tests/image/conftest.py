"""Fixtures of the image tests."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rl_transfer.image.keras_library import library
from rl_transfer.image.room import ROOM
from rl_transfer.results import RunFolder, RunStore, run_id
from support.image import TRAINING, Execute, make_run, save_arrays
from support.keras_models import tiny
from support.resumption import Killed, Killing, kill_at

torch.set_num_threads(1)
IMPORT = "from rl_transfer.image.keras_library import library; library()"


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and runs of all tests; nobody changes them."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="session")
def arrays(kept: Path) -> Path:
    """A data set of three classes."""
    return save_arrays(kept / "stripes.npz")


@pytest.fixture(scope="session")
def inverted(kept: Path) -> Path:
    """The same classes, dark on bright."""
    return save_arrays(kept / "inverted.npz", invert=True)


@pytest.fixture
def run(tmp_path: Path, kept: Path, arrays: Path, inverted: Path) -> Execute:
    """Execute a run and return its finished folder: that of another test where it was the same run.

    Runs on data of a test's own, and those with a ``store``, are executed anew.
    """

    def go(
        data: Any = None, store: str | None = None, source: RunFolder | None = None, **changes: Any
    ) -> RunFolder:
        if source is not None:
            changes["source"] = source.path.name
        data = arrays if data is None else data
        spec = make_run(data, **changes)
        shared = store is None and data in (arrays, inverted)
        shared = shared and (source is None or kept in source.path.parents)
        folder = RunStore(kept if shared else tmp_path / (store or "store")).folder(run_id(spec))
        if not folder.finished:
            ROOM.execute(spec, folder, source.bundle if source else None, say=lambda _: None)
        return folder

    return go


@pytest.fixture
def killed(tmp_path: Path, arrays: Path, monkeypatch: pytest.MonkeyPatch) -> Killing:
    """Execute a run; its attempts are killed after a checkpoint at these epochs, but for the last one.

    Each attempt counts the epochs from where it begins.
    """

    def go(
        *epochs: int,
        data: Any = None,
        source: RunFolder | None = None,
        said: list[str] | None = None,
        **changes: Any,
    ) -> RunFolder:
        if source is not None:
            changes["source"] = source.path.name
        training = {**TRAINING, **changes.pop("training", {}), "checkpoint_minutes": 1e-9}
        spec = make_run(arrays if data is None else data, **changes, training=training)
        folder = RunStore(tmp_path / "killed").folder(run_id(spec))
        bundle = source.bundle if source else None
        say = (lambda _: None) if said is None else said.append
        for epoch in epochs:
            with monkeypatch.context() as patch:
                kill_at(epoch, patch)
                with pytest.raises(Killed):
                    ROOM.execute(spec, folder, bundle, say=say)
        ROOM.execute(spec, folder, bundle, say=say)
        return folder

    return go


@pytest.fixture(scope="session")
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a process that imported Keras: of this one, unless others did that already."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("KERAS_HOME", raising=False)
        if "keras" in sys.modules:
            subprocess.run([sys.executable, "-c", IMPORT], check=True)
        else:
            library()
    return home


@pytest.fixture(scope="session")
def keras(keras_home: Path) -> Any:
    del keras_home  # it is the first import that may write there
    return library()


@pytest.fixture(scope="session")
def model(keras: Any) -> Any:
    made = tiny(keras)
    with torch.random.fork_rng():
        made(torch.rand(16, 8, 8, 1), training=True)  # statistics of its own
    return made


@pytest.fixture(scope="session")
def files(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    for name in ("tiny.keras", "tiny.h5"):
        model.save(folder / name)
    model.save_weights(folder / "tiny.weights.h5")
    (folder / "tiny.json").write_text(model.to_json(), encoding="utf-8")
    return folder
