"""Where a result comes from: what stands in a record of command, commit, machine and code."""

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium  # noqa: F401 - its registry is what is asked
import pytest

from rl_transfer.frame import provenance
from rl_transfer.frame.provenance import code_of, machine, origin
from rl_transfer.results import library_versions
from rl_transfer.spec import Environment, Evaluation, RLRun

Source = Callable[..., str]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules that can be imported; nothing is remembered of them."""
    monkeypatch.syspath_prepend(tmp_path)
    before = {*sys.modules}
    forget()
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]
    forget()


def forget() -> None:
    for cached in (provenance._code, provenance._written, provenance._installed, provenance._origin):
        cached.cache_clear()
    importlib.invalidate_caches()


def code(environment: str, **kwargs: str) -> dict[str, str]:
    forget()
    return code_of(
        RLRun(env=Environment(id=environment, **kwargs), policy="random", evaluation=Evaluation(every=1))
    )


def test_a_users_module_is_told_by_a_digest_of_its_source(own: Path) -> None:
    (own / "cars.py").write_text("WHEELS = 4\n", encoding="utf-8")
    before = code("cars:Fast-v0")
    assert before["cars"].startswith("sha256:")
    assert code("Fast-v0", env_module="cars") == before
    (own / "cars.py").write_text("WHEELS = 3\n", encoding="utf-8")
    assert code("cars:Fast-v0").keys() == before.keys()
    assert code("cars:Fast-v0") != before


@pytest.mark.parametrize("helper", ["roads.py", "roads/__init__.py", "roads/wet.py", "cars/inner.py"])
def test_what_a_users_module_imports_beside_it_counts(own: Path, helper: str) -> None:
    for name in ("cars", "roads"):
        if name in helper and "/" in helper:
            (own / name).mkdir()
            (own / name / "__init__.py").write_text("", encoding="utf-8")
    cars = own / ("cars/__init__.py" if helper.startswith("cars/") else "cars.py")
    cars.write_text("try:\n    import roads\nexcept ImportError:\n    pass\n", encoding="utf-8")
    (own / helper).write_text("GRIP = 1\n", encoding="utf-8")
    before = code("cars:Fast-v0")
    (own / helper).write_text("GRIP = 2\n", encoding="utf-8")
    assert code("cars:Fast-v0") != before
    (own / "unrelated.py").write_text("", encoding="utf-8")
    after = code("cars:Fast-v0")
    (own / "unrelated.py").write_text("X = 1\n", encoding="utf-8")
    assert code("cars:Fast-v0") == after


@pytest.mark.parametrize("helper", ["cars/roads/wet.py", "elsewhere/roads.py", "elsewhere/roads/wet.py"])
def test_folders_without_init_and_files_elsewhere_on_the_path_count(
    own: Path, helper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cars", "elsewhere"):
        (own / name).mkdir()
        monkeypatch.syspath_prepend(own / name)
    (own / "cars" / "cars.py").write_text("import roads\nimport roads.wet\n", encoding="utf-8")
    (own / helper).parent.mkdir(exist_ok=True)
    (own / helper).write_text("GRIP = 1\n", encoding="utf-8")
    before = code("cars:Fast-v0")
    (own / helper).write_text("GRIP = 2\n", encoding="utf-8")
    assert code("cars:Fast-v0") != before
    assert code("cars:Fast-v0").keys() == before.keys() == {"cars"}


def test_packages_that_a_users_module_imports_are_told_by_version(own: Path) -> None:
    (own / "cars.py").write_text(
        "import pydantic\nfrom gymnasium.envs.mujoco import MujocoEnv\n", encoding="utf-8"
    )
    found = code("cars:Fast-v0")
    assert found["pydantic"] == library_versions(["pydantic"])["pydantic"]
    assert found["mujoco"] == library_versions(["mujoco"])["mujoco"]


@pytest.mark.parametrize(("folder", "told"), [("site-packages", "tyres"), ("checkout", None)])
def test_packages_of_the_system_or_the_user_are_told_by_version_and_checkouts_are_not(
    own: Path, folder: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an environment made with --system-site-packages; a checkout has its metadata beside it too."""
    (own / folder / "tyres").mkdir(parents=True)
    (own / folder / "tyres" / "__init__.py").write_text("", encoding="utf-8")
    metadata = own / folder / "tyres-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tyres\nVersion: 1.5\n", "utf-8")
    (metadata / "top_level.txt").write_text("tyres\n", "utf-8")
    monkeypatch.syspath_prepend(own / folder)
    monkeypatch.setattr(provenance, "_distributions", importlib.metadata.packages_distributions)
    (own / "cars.py").write_text("import tyres\n", encoding="utf-8")
    before = code("cars:Fast-v0")
    assert before.get("tyres") == (told and "1.5")
    (own / folder / "tyres" / "__init__.py").write_text("GRIP = 2\n", encoding="utf-8")
    assert (code("cars:Fast-v0") == before) == (told is not None)


def test_registered_environments_are_told_by_their_packages() -> None:
    assert code("CartPole-v1").keys() == {"gymnasium"}
    assert {"gymnasium", "mujoco"} <= code("Hopper-v5").keys()
    assert {"gymnasium", "box2d"} <= code("LunarLander-v3").keys()
    assert code("rl_transfer_envs:Unknown-v0") == {}, "our own are told by the version of rl-transfer"
    assert code("nowhere_to_be_found:Fast-v0") == {}


def test_a_module_that_cannot_be_parsed_has_a_digest_too(own: Path) -> None:
    (own / "cars.py").write_text("def broken(:\n", encoding="utf-8")
    assert code("cars:Fast-v0")["cars"].startswith("sha256:")


def git(folder: Path, *words: str) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_adopted", [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    forget()
    assert origin()["git"] is None
    git(tmp_path, "init", "-q")
    (tmp_path / "suite.yaml").write_text("a: 1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    forget()
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert origin()["git"] == {"commit": commit, "dirty": False}
    (tmp_path / "suite.yaml").write_text("a: 2\n", encoding="utf-8")
    forget()
    assert origin()["git"] == {"commit": commit, "dirty": True}
    monkeypatch.setenv("PATH", "")
    forget()
    assert origin()["git"] is None, "without git nothing fails"


def test_the_command_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_adopted", [])
    home = Path.home()
    monkeypatch.setattr(sys, "argv", ["/usr/bin/rl-transfer", "sweep", f"{home}/my suite.yaml", "seeds=3"])
    forget()
    assert origin()["command"] in (
        "rl-transfer sweep '~/my suite.yaml' seeds=3",
        f"rl-transfer sweep '{home}/my suite.yaml' seeds=3",
    )
    forget()


def test_the_kind_of_machine() -> None:
    found = machine()
    assert str(found["cpu"]).endswith(")")
    assert "(" in str(found["cpu"])
    assert int(str(found["threads"])) >= 1
