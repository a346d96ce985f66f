"""docs/adding.md is true: the files it names exist, and its examples work on a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
EXAMPLES = {title: text for title, text in SECTIONS.items() if "```python" in text}
PATH = re.compile(r"`((?:rl_transfer|envs|tests|configs|docs)/[\w./-]*|[\w-]+\.(?:toml|md))`")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def apply(diff: str, root: Path) -> None:
    """Change one file as a diff says; its context must stand in the file exactly once."""
    heading, *lines = diff.splitlines()
    path = root / heading.removeprefix("--- ")
    old = "\n".join(line[1:] for line in lines if line[:1] in " -")
    new = "\n".join(line[1:] for line in lines if line[:1] in " +")
    text = path.read_text(encoding="utf-8")
    assert text.count(f"{old}\n") == 1, f"{path.name} does not have this context once:\n{old}"
    path.write_text(text.replace(f"{old}\n", f"{new}\n"), encoding="utf-8")


def test_the_page_has_a_recipe_for_each() -> None:
    assert list(SECTIONS) == [
        "An algorithm",
        "A perturbation",
        "An environment family",
        "A strategy verb",
        "Names of observations",
        "A metric",
        "An executor",
        "An engine",
        "A kind of data",
    ]


@pytest.mark.parametrize("title", SECTIONS)
def test_every_file_that_is_named_exists(title: str) -> None:
    named = PATH.findall(SECTIONS[title])
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.full
@pytest.mark.parametrize("title", EXAMPLES)
def test_the_example_works(title: str, tmp_path: Path) -> None:
    for package in ("rl_transfer", "envs", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    for diff in blocks(SECTIONS[title], "diff"):
        apply(diff, tmp_path)
    program = "\n".join(blocks(SECTIONS[title], "python"))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{tmp_path / 'envs'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
