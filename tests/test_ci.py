"""``.ci/run`` gets the browser that tests open where it can, and only there; then it runs the tests."""

import subprocess
from pathlib import Path

import pytest

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
