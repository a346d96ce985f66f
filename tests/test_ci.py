"""``.ci/run`` gets the browser that tests open where it can, and only there; then it runs the tests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import browser

ROOT = Path(__file__).resolve().parent.parent
INSTALL = ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends chromium"]


@pytest.mark.parametrize(
    ("user", "programs", "expected"),
    [
        (0, ["apt-get"], [*INSTALL, "make test"]),
        (0, ["apt-get", "chromium"], ["make test"]),
        (0, [], ["make test"]),
        (1000, ["apt-get"], ["make test"]),
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


@pytest.mark.parametrize(
    ("user", "programs", "outcome"),
    [
        (0, {"apt-get": "/usr/bin/apt-get"}, pytest.fail.Exception),
        (0, {}, pytest.skip.Exception),
        (1000, {"apt-get": "/usr/bin/apt-get"}, pytest.skip.Exception),
    ],
)
def test_a_missing_browser_fails_where_it_could_be_had_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, user: int, programs: dict[str, str], outcome: type[BaseException]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(shutil, "which", programs.get)
    with pytest.raises(outcome, match="there is no Chromium"):
        browser.chromium()
