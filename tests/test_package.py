"""The wheel: its top level, its configs, and a command line that works outside the checkout."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (path,) = out.glob("*.whl")
    return path


def test_the_top_level_is_exactly_our_two_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rl_transfer", "rl_transfer_envs"}
    assert "rl_transfer/py.typed" in names
    assert "rl_transfer_envs/py.typed" in names
    assert "rl_transfer/_configs/suites/quickstart.yaml" in names
    assert not [name for name in names if name.startswith("rl_transfer/_configs") and name.endswith(".py")]


def test_an_installed_command_line_finds_its_configs_outside_the_checkout(
    wheel: Path, tmp_path: Path
) -> None:
    # The dependencies come from this environment; the package itself from the wheel alone.
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = (environment / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    import pydantic

    (site / "dependencies.pth").write_text(str(Path(pydantic.__file__).parent.parent), encoding="utf-8")
    python = [str(environment / "bin" / "python"), "-E"]
    done = subprocess.run(
        [*python, "-m", "rl_transfer", "configs", "show", "suites/quickstart"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# One source")
    where = subprocess.run(
        [*python, "-c", "import rl_transfer; print(rl_transfer.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(site) in where.stdout
