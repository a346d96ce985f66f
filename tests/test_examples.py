"""Every fenced example of every page runs: Python as it is, YAML through the loader, commands in short."""

import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.spec import Environment, StrategyConfig, load, parse
from rl_transfer.sweep.dispatch import SUITES, TRAIN
from support.boards import board
from support.cli import Call, calling
from support.examples import LANGUAGES, PAGES, ROOT, Example, examples, prepare, short

EVERY = [example for page in PAGES for example in examples(page)]
IDS = {page: page.relative_to(ROOT).as_posix() for page in PAGES}
"""Commands that need what no test may ask for, with the start of what they say without it."""
DOWNLOADS = {
    "policies import hf://sb3/ppo-CartPole-v1": "",
    "train image-textbook data=path/to/hymenoptera_data": "resnet18-",
    "sweep text-quickstart": "",
    "sweep keras-faces": "",
}
ELSEWHERE = (
    "ray",
    "git",
    "cd",
    "cp",
    "mkdir",
    "source",
    "python3",
    "pip",
    "uv",
    "npm",
    "tar",
    "tensorboard",
    ".ci/run",
    "/tmp/clean/bin/pip",
)
"""Programs of other people, and what the test command itself runs."""


SMALL = SyntheticSweep(
    shapes={"longer-pole": QUICKSTART["longer-pole"]}, seeds=3, budget=2048, analysis={"bootstrap": 100}
)
"""Stands for every sweep that a page reports."""


def of(language: str, *, apart: str = "") -> list[Example]:
    return [each for each in EVERY if each.language == language and IDS[each.page] != apart]


QUICK = {
    "python": {"environments-speed", "environments", "how-do-i", "scale"},
    "bash": {
        "CONTRIBUTING", "cluster", "metrics", "performance", "python", "reliability",
        "report", "scale", "seed-plans", "sources", "testing", "validity",
    },
}  # fmt: skip
"""Pages whose examples take seconds at most, and none that an extra is needed for."""


def pages_with(language: str) -> list[Any]:
    """Pages with such examples; those that take their time are of the tier full."""
    pages = dict.fromkeys(each.page for each in of(language, apart="docs/adding.md"))
    return [
        pytest.param(page, id=IDS[page], marks=() if page.stem in QUICK[language] else pytest.mark.full)
        for page in pages
    ]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    prepare(folder)
    return folder


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_every_example_says_its_language() -> None:
    assert len(EVERY) > 40
    assert [each.name for each in EVERY if each.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS.get)
def test_no_command_hides_in_an_indented_block(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert re.findall(r"^    (?:rl-transfer|python|make) .*", text, re.M) == []


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page: Path, workspace: Path) -> None:
    text = "\n".join(each.text for each in examples(page) if each.language == "python")
    given = "import my_pkg.envs\n" if "MyCar" in text else ""
    if IDS[page] == "docs/sources.md":
        given = EXPORTED
    if IDS[page] == "docs/python.md":
        SyntheticSweep().write(workspace / "results" / "quickstart")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "envs"), str(workspace)]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", given + text],
        cwd=workspace, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


EXPORTED = """\
from pathlib import Path
from rl_transfer.cli import main
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
for arguments in ("import ppo-CartPole-v1.zip -o given", "export given --sb3 cartpole.zip"):
    try:
        main(["policies", *arguments.split()])
    except SystemExit as done:
        assert done.code == 0
VecNormalize(make_vec_env("CartPole-v1")).save("vecnormalize.pkl")
"""


def pieces(example: Example) -> list[str]:
    """Documents of a YAML block; lines that repeat a key are alternatives."""
    lines = example.text.splitlines()
    keys = [line.partition(":")[0] for line in lines if line and not line.startswith((" ", "#", "-"))]
    return [example.text] if len(keys) == len(set(keys)) else [line for line in lines if line]


def yaml_examples() -> list[object]:
    """The examples in YAML; those whose weights lie in a package of an extra are of the tier ``full``."""
    return [
        pytest.param(each, id=each.name, marks=[pytest.mark.full] if "package://" in each.text else [])
        for each in of("yaml")
    ]


def deep(document: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys of the second level: what an excerpt leaves out stays as it is."""
    return {f"{key}.{inner}": value for key, part in document.items() for inner, value in part.items()}


@pytest.mark.parametrize("example", yaml_examples())
def test_yaml_is_read(example: Example, call: Call, workspace: Path) -> None:
    for text in pieces(example):
        document = YAML(typ="safe").load(text)
        file = workspace / "example.yaml"
        file.write_text(text, encoding="utf-8")
        if document.keys() <= {"sources", "targets", "seeds", "tune", "scores"}:
            load(
                "quickstart",
                SUITES,
                "suites",
                [f"{key}={json.dumps(value)}" for key, value in document.items()],
            )
        elif "sources" in document:
            found = call("sweep", "./example.yaml", "--dry-run")
            assert found.code == 0, found.err
        elif "kind" in document:
            load(str(file), TRAIN, "train")
        elif "id" in document or document.keys() == {"perturb"}:
            parse(Environment, {"id": "CartPole-v1", **document})
        elif document.keys() & {"copy", "freeze", "hooks"}:
            parse(StrategyConfig, {"name": "example", **document})
        else:
            base = "image-letters" if document.keys() & {"model", "weights", "data"} else "cartpole"
            changes = document if base == "image-letters" else deep(document)
            load(base, TRAIN, "train", [f"{key}={json.dumps(value)}" for key, value in changes.items()])


@pytest.mark.parametrize("page", pages_with("bash"))
def test_commands_run_in_the_order_of_the_page(page: Path, call: Call, workspace: Path) -> None:
    for example in examples(page):
        if example.language == "yaml" and (named := re.search(r"^name: (\S+)$", example.text, re.M)):
            Path(f"{named[1]}.yaml").write_text(example.text, encoding="utf-8")
        if example.language == "bash":
            for command in example.commands():
                with pytest.MonkeyPatch.context() as given:
                    while "=" in command[0]:
                        given.setenv(*command.pop(0).split("=", 1))
                    run_command(command, call, workspace)


def run_command(command: list[str], call: Call, workspace: Path) -> None:
    program, text = command[0], shlex.join(command[1:])
    if program.endswith("rl-transfer"):
        run_ours(command, call)
    elif program == "make":
        done = subprocess.run(["make", "--dry-run", *command[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif command[1:2] and command[1].startswith("benchmarks/"):
        check_options(command[1:2], command)
    elif command[1:2] == ["-m"] and command[2].startswith("benchmarks."):
        check_options(command[1:3], command)
    elif command[1:3] == ["-m", "pytest"]:
        assert [word for word in command[3:] if word.startswith("tests") and not (ROOT / word).exists()] == []
    elif command[1:3] == ["-m", "rl_transfer.text.fetch"]:
        assert len(command) == 4, "it would download something"
    elif program == "python" and command[1:4] == ["-m", "pip", "install"]:
        assert command[4:] == ["--editable", ".[ray]"], "it would install something"
    elif program == "python":
        done = subprocess.run([sys.executable, *command[1:]], cwd=workspace, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        assert program in ELSEWHERE or program.startswith(".venv/bin/"), f"who runs {program} {text}?"


def run_ours(command: list[str], call: Call) -> None:
    text = shlex.join(command[1:])
    missing = [said for start, said in DOWNLOADS.items() if text.startswith(start)]
    folders = command[2:4] if command[1] == "compare" else command[2:3]
    for folder in folders if command[1] in ("report", "board", "compare", "publish") else ():
        if not Path(folder, "sweep.json").exists():
            SMALL.write(Path(folder))
            for run in Path(folder, "runs").iterdir():  # what training would have left
                (run / "tensorboard").mkdir()
    if command[1] == "board":
        assert call("report", command[2]).code == 0
        with board(*command[2:]) as address:
            assert address.startswith("http://")
        return
    if missing == [""]:
        found = call(*command[1:3], "--help")
        assert all(word in found.out for word in command if word.startswith("--"))
        return
    found = call(*short(command))
    if missing:
        assert found.code != 0
        assert missing[0] in found.err
    else:
        assert found.code == 0, f"{shlex.join(command)}\n{found.err}"


def check_options(benchmark: list[str], command: list[str]) -> None:
    """A benchmark takes the options that a page gives it."""
    told = help_of(*benchmark)
    assert [word for word in command if word.startswith("--") and word not in told] == []


@cache
def help_of(*benchmark: str) -> str:
    """What it says of itself, asked once, modules in this process: pages name some of them many times."""
    if benchmark[0] == "-m":
        told = io.StringIO()
        with pytest.MonkeyPatch.context() as given, redirect_stdout(told):
            given.setattr(sys, "argv", [benchmark[1], "--help"])
            given.delitem(sys.modules, benchmark[1], raising=False)  # another test may have imported it
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(benchmark[1], run_name="__main__")
        assert not ended.value.code
        return told.getvalue()
    done = subprocess.run([sys.executable, *benchmark, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
