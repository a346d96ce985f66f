"""What the pages say about the repository holds: links, anchors, commands."""

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headlines, as GitHub and the built site both name them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.+?)\s*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """Links of a page that lead to no file or no headline of this repository."""
    bad = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if ":" in target:
            continue
        place = (page.parent / target).resolve() if target else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            bad.append(link)
    return bad


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("link", ["missing.md", "#no-such-headline", "other.md#nor-this"])
def test_a_broken_link_is_seen(tmp_path: Path, link: str) -> None:
    (tmp_path / "other.md").write_text("# A headline\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n[fine](other.md#a-headline) [fine](#here) [wrong]({link})\n", encoding="utf-8")
    assert broken(page) == [link]


def test_every_page_is_in_the_site() -> None:
    listed = set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if "docs" in page.parts}


def commands_of(text: str) -> list[str]:
    """The commands of lines that chain them with ``&&``."""
    lines = [
        line for line in text.splitlines() if line.startswith(".venv/bin/") and "pip install" not in line
    ]
    return [command.strip() for line in lines for command in line.split("#")[0].split("&&")]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_readme_and_make_name_the_same_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    without_make = readme.partition("Without make:")[2].split("```")[1]
    said = commands_of(without_make)
    for target in ("demo", "test"):
        planned = subprocess.run(
            ["make", "--dry-run", "--old-file=.venv/.installed", "--old-file=.venv/.installed-dev", target],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for command in commands_of(planned.stdout):
            assert command in said, f"README's lines without make lack: {command}"
            said.remove(command)
    assert not said, f"README's lines without make name more than make does: {said}"


def test_continuous_integration_runs_the_readme_s_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make .*", script, re.M) == ["make test", "make rest"]
    assert "\nmake test " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert cited is not None
    assert cited[1] == project["version"]
    assert project["version"] in headings


def test_decisions_are_numbered_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("0*.md"))
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    assert re.findall(r"\((0\S+\.md)\)", (folder / "index.md").read_text(encoding="utf-8")) == records
    for name in records:
        title, _, dated = (folder / name).read_text(encoding="utf-8").splitlines()[:3]
        assert title.startswith(f"# {int(name[:4])}. ")
        assert re.match(r"\d{4}-\d\d-\d\d · ", dated)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """docs/reference.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says(reference: ModuleType) -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert reference.page() == text, "run python docs/reference.py"


def test_every_key_and_every_option_is_explained(reference: ModuleType) -> None:
    models = reference.models()
    assert len(models) > 50, "they are found"
    keys = [
        f"{model.__name__}.{row.key}"
        for model in models
        for row in reference.fields(model)
        if not row.meaning
    ]
    options = [
        f"{words} {row}"
        for words, function in reference.of_app(reference.app)
        for row in reference.options(function)
    ]
    assert keys == []
    assert len(options) > 100
    assert [row for row in options if row.endswith("|  |")] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `engine` | `auto` or `sb3` or `compiled` | `auto` |",
        "| `runs` | whole number ≥ 1, ≤ 100,000 or none | none |",
        "| `seeds` | list of whole numbers ≥ 0 or [SeedPlan](#seedplan) | `[0, 1, 2, 3, 4]` |",
        "| `kickstart` | [Kickstart](#kickstart) or none | none | Distillation from the source",
        "| `--workers`, `-j` |  | Runs at a time;",
        "| `--events/--no-events` | on |",
        "| `CONFIG` | required | A YAML file,",
    ],
)
def test_rows_of_the_reference(reference: ModuleType, row: str) -> None:
    assert f"\n{row}" in reference.page()
