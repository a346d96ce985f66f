"""``.ci/run`` runs what the README says, then it gets the browser where it can and runs the rest."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support import tiers

ROOT = Path(__file__).resolve().parent.parent
INSTALL = ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends chromium"]


@pytest.mark.parametrize(
    ("user", "programs", "expected"),
    [
        (0, ["apt-get"], ["make test", *INSTALL, "make rest"]),
        (0, ["apt-get", "chromium"], ["make test", "make rest"]),
        (0, [], ["make test", "make rest"]),
        (1000, ["apt-get"], ["make test", "make rest"]),
    ],
)
def test_chromium_is_installed_where_it_can_be(
    tmp_path: Path, user: int, programs: list[str], expected: list[str]
) -> None:
    said = tmp_path / "said"
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(Path("/usr/bin", name))
    scripts = {"id": f"echo {user}", **{name: f'echo "{name} $*" >> {said}' for name in ("make", *programs)}}
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(ROOT / ".ci" / "run")], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert said.read_text(encoding="utf-8").splitlines() == expected


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_what_ci_runs_is_every_tier() -> None:
    plan = ["make", "-n", "tiers", "ray"]
    said = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [f"--tier {tier}" in said for tier in tiers.NAMES] == [tier != "default" for tier in tiers.NAMES]
