"""Refusing a config or a path loads no torch and takes little memory; seconds are for ``make hostile``."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faults.hostile import MIB, Attack, main

TESTS = Path(__file__).resolve().parents[1]
LOADED = """
import sys
from rl_transfer.cli import main
try:
    main({arguments!r})
finally:
    sys.stdout.write(f"torch: {{'torch' in sys.modules}}")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["sweep", "quickstart", "seeds=1e9"],
        ["sweep", "image-quickstart", "model.width=1000000"],
        ["train", "cartpole", "algorithm.n_epochs=1000000000"],
        ["evaluate", "nowhere"],
        ["policies", "inspect", "nowhere.zip"],
        ["policies", "import", "nowhere", "-o", "out"],
        ["policies", "export", "nowhere", "--sb3", "out.zip"],
        ["envs", "show", "nowhere"],
    ],
    ids=" ".join,
)
def test_a_refusal_loads_no_torch(arguments: list[str], tmp_path: Path) -> None:
    script = LOADED.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("error: ")
    assert done.stdout == "torch: False"


def test_the_program_prints_what_each_input_takes_and_fails_where_one_is_not_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faults.hostile", "--only", "map of"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    taken = [float(each) for each in re.findall(r"([0-9.]+) MiB  files", done.stdout)]
    assert len(taken) == 4
    assert max(taken) <= MIB


def test_what_is_not_refused_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = Attack("accepted", "configs list", ("configs", "list"), (3,))
    monkeypatch.setattr("faults.hostile.attacks", lambda: [accepted])
    assert main([]) == 1
    assert "WRONG: exit code 0" in capsys.readouterr().out
