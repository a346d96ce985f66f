"""Runs by their place in the matrix, and the commands that list, verify and tidy them up."""

import errno
import json
import os
from pathlib import Path

import pytest

from rl_transfer.errors import BundleError, StoreError
from rl_transfer.frame import bundle_folder
from rl_transfer.results import RunStore, write_manifest
from rl_transfer.results.address import is_address, run_at
from rl_transfer.results.inventory import leftovers, list_runs, remove
from support.cli import Call, calling
from support.records import change_manifest, change_record, write_finished

ROWS = [
    ("aaaa0001", "source", "base", None, None, 0),
    ("aaaa0002", "source", "other", None, None, 0),
    ("bbbb0001", "random", None, "heavy", None, 0),
    ("cccc0001", "target", None, "heavy", "scratch", 0),
    ("dddd0001", "target", "base", "heavy", "fine-tune", 0),
    ("dddd0002", "target", "other", "heavy", "fine-tune", 0),
]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """All runs finished, without bundles; and a run that has no place."""
    folder = tmp_path / "x"
    keys = ("id", "role", "source", "target", "strategy", "seed")
    RunStore(folder).open()
    write_manifest(folder, {"runs": [dict(zip(keys, row, strict=True)) for row in ROWS]})
    for identifier in [row[0] for row in ROWS] + ["eeee0001"]:
        write_finished(folder / "runs" / identifier)
    return folder


@pytest.mark.parametrize(
    ("address", "identifier"),
    [
        ("source/base/0", "aaaa0001"),
        ("source/other/0", "aaaa0002"),
        ("heavy/random", "bbbb0001"),
        ("heavy/scratch/0", "cccc0001"),
        ("base→heavy/fine-tune/0", "dddd0001"),
        ("other->heavy/fine-tune/0", "dddd0002"),
        ("aaaa0002", "aaaa0002"),
        ("cccc", "cccc0001"),
    ],
)
def test_a_run_is_called_by_its_place(sweep: Path, address: str, identifier: str) -> None:
    assert run_at(Path(f"{sweep}:{address}")) == sweep / "runs" / identifier
    assert bundle_folder(Path(f"{sweep}:{address}")) == sweep / "runs" / identifier / "bundle"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("heavy/fine-tune/0", "name one: base→heavy/fine-tune/0, other→heavy/fine-tune/0"),
        ("heavy/scratc/0", "Did you mean 'heavy/scratch/0'"),
        ("aaaa", "is 2 runs"),
        ("aaa", "has no run 'aaa'"),
        ("../../etc", "has no run"),
        ("", "has no run ''"),
    ],
)
def test_what_is_no_run_is_refused_with_what_there_is(sweep: Path, address: str, words: str) -> None:
    with pytest.raises(StoreError) as caught:
        run_at(Path(f"{sweep}:{address}"))
    assert words in caught.value.message
    with pytest.raises(BundleError):
        bundle_folder(Path(f"{sweep}:{address}"))


def test_other_words_with_a_colon_are_no_addresses(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweep.parent)
    for text in (
        "hf://sb3/ppo",
        "C:\\x:heavy",
        "cars:Fast-v0",
        str(sweep),
        "x/heavy",
        "missing:heavy/scratch/0",
    ):
        assert not is_address(Path(text)), text
        assert run_at(Path(text)) == Path(text)
    (sweep.parent / "x:heavy").mkdir()
    assert not is_address(Path("x:heavy")), "what exists is what is meant"
    assert is_address(Path("x:heavy/scratch/0"))


def test_runs_are_listed_by_state(call: Call, sweep: Path) -> None:
    (sweep / "runs" / "cccc0001" / "curve.jsonl").write_text("", encoding="utf-8")
    every = call("runs", "list", str(sweep))
    assert every.code == 0
    assert "other→heavy/fine-tune/0" in every.out
    assert "eeee0001  finished  (no place in the matrix)" in every.out
    assert "7 runs: 6 finished, 1 damaged" in every.out
    damaged = json.loads(call("runs", "list", str(sweep), "--damaged", "--json").out)
    assert [(each["id"], each["name"], each["state"]) for each in damaged] == [
        ("cccc0001", "heavy/scratch/0", "damaged")
    ]


def test_what_a_file_manager_hides_among_the_runs_is_no_run(call: Call, sweep: Path) -> None:
    (sweep / "runs" / ".DS_Store").write_text("", encoding="utf-8")
    done = call("runs", "verify", str(sweep))
    assert done.code == 0
    assert ".DS_Store" not in done.out


def test_a_record_is_shown(call: Call, sweep: Path) -> None:
    assert json.loads(call("runs", "show", f"{sweep}:heavy/scratch/0").out)["id"] == "cccc0001"
    assert json.loads(call("runs", "show", str(sweep / "runs" / "cccc0001")).out)["id"] == "cccc0001"
    assert "no such run" in call("runs", "show", "nowhere").err


def test_what_a_terminal_would_obey_is_an_escape_in_json(call: Call, sweep: Path) -> None:
    title = "ti\x9b2Jtle \u202e\x7f × é"
    change_record(sweep / "runs" / "cccc0001", title=title)
    shown = call("runs", "show", f"{sweep}:heavy/scratch/0").out
    assert json.loads(shown)["title"] == title
    assert "ti\\u009b2Jtle \\u202e\\u007f × é" in shown
    run = sweep / "runs" / "9999"
    run.mkdir()
    (run / "failure.json").write_text(json.dumps({"message": title}), encoding="utf-8")
    listed = call("runs", "list", str(sweep), "--json").out
    assert title in {str(each["problem"]).removeprefix("failed: ") for each in json.loads(listed)}
    assert not {"\x9b", "\u202e", "\x7f"} & {*listed, *shown}


def test_verify_reads_bundles_too(call: Call, sweep: Path) -> None:
    assert call("runs", "verify", str(sweep)).code == 0
    bundle = sweep / "runs" / "dddd0001" / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}", encoding="utf-8")
    assert "1 damaged" not in call("runs", "list", str(sweep)).out
    done = call("runs", "verify", str(sweep))
    assert done.code == 1
    assert "1 damaged" in done.out


def test_what_nothing_needs_is_listed_and_deleted_where_asked(call: Call, sweep: Path) -> None:
    (sweep / "damaged" / "cccc0001-1").mkdir(parents=True)
    (sweep / "damaged" / "cccc0001-1" / "record.json").write_text("12345", encoding="utf-8")
    (sweep / ".sweep.json.1.partial").write_text("{", encoding="utf-8")
    theirs = [sweep / ".notes.tmp", sweep / "mine" / ".download.partial"]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("somebody else's", encoding="utf-8")
    (sweep / ".incoming" / "0" / "eeee0002").mkdir(parents=True)
    (sweep / ".incoming" / "0" / "eeee0002" / ".record.json.1.partial").write_text("{", encoding="utf-8")
    listed = call("runs", "gc", str(sweep))
    assert listed.code == 0
    names = "eeee0001", "cccc0001-1", ".incoming  (left by a sweep on a cluster", ".sweep.json.1.partial"
    assert all(name in listed.out for name in (*names, "4 things"))
    assert (sweep / "runs" / "eeee0001").is_dir(), "nothing is deleted unasked"
    with RunStore(sweep).lock():
        assert call("runs", "gc", str(sweep), "--yes").code == 7
    assert (sweep / "runs" / "eeee0001").is_dir(), "somebody writes there"
    assert "4 things" in call("runs", "gc", str(sweep), "--yes").out
    assert not (sweep / ".incoming").exists()
    assert {path.name for path in (sweep / "runs").iterdir()} == {row[0] for row in ROWS}
    assert not any((sweep / "damaged").iterdir())
    assert "0 things" in call("runs", "gc", str(sweep)).out
    assert all(path.exists() for path in theirs), "files of other programs are nobody's leftovers here"


def test_what_has_no_place_comes_in_one_order_with_its_size(sweep: Path) -> None:
    many = [f"eeee{number:04}" for number in range(2, 12)]
    for each in many:
        write_finished(sweep / "runs" / each)
        (sweep / "damaged" / each).mkdir(parents=True)
        (sweep / f".{each}.7.partial").write_text("{", encoding="utf-8")
    assert [each.id for each in list_runs(sweep)][-11:] == ["eeee0001", *many]
    found = [each.path.relative_to(sweep).as_posix() for each in leftovers(sweep)]
    assert found == [
        *(f"runs/{each}" for each in ("eeee0001", *many)),
        *(f"damaged/{each}" for each in many),
        *(f".{each}.7.partial" for each in many),
    ]


def test_the_size_of_what_may_go_is_that_of_its_files_and_links_are_not_followed(sweep: Path) -> None:
    (sweep / "large").write_bytes(b"x" * 5000)
    run = sweep / "damaged" / "cccc0001-1"
    (run / "bundle").mkdir(parents=True)
    (run / "record.json").write_bytes(b"x" * 100)
    (run / "bundle" / "bundle.json").write_bytes(b"x" * 20)
    (run / "link").symlink_to(sweep / "large")
    (sweep / "damaged" / "linked").symlink_to(run)
    (sweep / ".record.json.1.partial").write_bytes(b"x" * 3)
    sizes = {each.path.name: each.size for each in leftovers(sweep)}
    assert sizes["cccc0001-1"] == 100 + 20 + len(str(sweep / "large")), "a link is as long as what it says"
    assert sizes["linked"] == len(str(run))
    assert sizes[".record.json.1.partial"] == 3
    remove(sweep)
    assert (sweep / "large").is_file()


def test_what_cannot_be_deleted_is_named(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(StoreError, match="eeee0001 cannot be deleted: Permission denied"):
        remove(sweep)


ROW = {"id": "a", "role": "target", "seed": 0}


@pytest.mark.parametrize(
    "rows", [None, {}, [7], [{**ROW, "id": 7}], [{**ROW, "seed": [[1]]}], [{**ROW, "target": {}}]]
)
def test_a_matrix_that_no_sweep_writes_is_one_clear_error(call: Call, sweep: Path, rows: object) -> None:
    change_manifest(sweep, runs=rows)
    for words in (("list", str(sweep)), ("verify", str(sweep)), ("gc", str(sweep)), ("show", f"{sweep}:a")):
        done = call("runs", *words)
        assert done.code == 7, words
        assert "sweep.json is damaged: runs" in done.err


def test_a_folder_without_a_matrix_is_refused(call: Call, tmp_path: Path) -> None:
    for words in (("list",), ("verify",), ("gc",), ("gc", "--yes")):
        done = call("runs", words[0], str(tmp_path), *words[1:])
        assert done.code == 7
        assert "no sweep folder" in done.err
    assert not any(tmp_path.iterdir())
