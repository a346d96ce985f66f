"""Tables and folders of texts: what is read, what is left out and counted, what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.spec.text import TextData
from rl_transfer.supervised.data import OpenedData
from rl_transfer.text.data import open_texts
from rl_transfer.text.room import TEXTS

ROWS = [("a fine one", "good"), ("a dull one", "bad"), ("what a joy", "good"), ("what a bore", "bad")]


def opened(path: Path, **options: Any) -> OpenedData:
    return open_texts(TextData(name="texts", path=str(path), **options))


def items(data: OpenedData, part: str = "pool") -> list[tuple[str, str]]:
    found = getattr(data, part)
    return [(found.load(i), data.classes[label]) for i, label in enumerate(found.labels)]


def written(path: Path, rows: Sequence[tuple[str, object]]) -> Path:
    objects = [{"text": text, "label": label} for text, label in rows]
    lines = {
        ".jsonl": "\n".join(map(json.dumps, objects)) + "\n\n",
        ".json": json.dumps(objects),
        ".csv": "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows),
        ".tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines[path.suffix], encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.json"])
def test_every_table_says_the_same(tmp_path: Path, name: str) -> None:
    data = opened(written(tmp_path / name, ROWS))
    assert data.classes == ("bad", "good")
    assert items(data) == ROWS
    assert data.test is None
    assert data.notes == ()


def test_a_folder_has_a_class_per_sub_folder_and_may_have_a_test_part(tmp_path: Path) -> None:
    for part, rows in (("train", ROWS), ("test", [("a new joy", "good"), ("a new bore", "bad")])):
        for index, (text, label) in enumerate(rows):
            path = tmp_path / part / label / f"{index}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    data = opened(tmp_path)
    assert sorted(items(data)) == sorted(ROWS)
    assert items(data, "test") == [("a new bore", "bad"), ("a new joy", "good")]
    assert sorted(items(opened(tmp_path / "train"))) == sorted(ROWS)


def test_labels_have_names_and_numbers_their_order(tmp_path: Path) -> None:
    numbered = written(tmp_path / "x.jsonl", [("a", 10), ("b", 2), ("c", 0)])
    assert opened(numbered).classes == ("0", "2", "10")
    named = opened(numbered, names={"10": "ten", "2": "two", "0": "none"})
    assert named.classes == ("ten", "two", "none")
    assert items(named) == [("a", "ten"), ("b", "two"), ("c", "none")]


def test_copies_are_used_once_and_counted(tmp_path: Path) -> None:
    train = [*ROWS, ("A  FINE one", "good"), ("torn", "good"), ("torn", "bad"), ("tested", "good")]
    written(tmp_path / "train.csv", train)
    written(tmp_path / "test.csv", [("Tested", "good"), ("new", "bad"), ("new", "bad")])
    data = opened(tmp_path)
    assert items(data) == ROWS
    assert items(data, "test") == [("Tested", "good"), ("new", "bad")]
    assert data.notes == (
        "2 texts that stand there twice left out",
        "2 texts that stand there with several classes left out",
        "1 text to learn from that are in the test part too left out",
    )


def test_parts_share_no_text_whatever_the_seed(tmp_path: Path) -> None:
    rows = [(f"text {i % 30}", ("bad", "good")[i % 2]) for i in range(90)]
    data = TextData(name="texts", path=str(written(tmp_path / "x.csv", rows)), shots=5, validation=0.2)
    for seed in range(3):
        splits = TEXTS.split(data, 0, seed)
        parts = [splits.train, splits.validation, splits.test]
        texts = [part.load(i) for part in parts if part is not None for i in range(len(part))]
        assert len(texts) == len(set(texts)) == 10 + 8
        assert np.bincount(splits.train.labels).tolist() == [4, 4]


def test_incomplete_rows_are_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", [*ROWS, ("  ", "good"), ("no class", None)])
    with pytest.raises(ConfigError, match=r"line 5 has no text .*skip_incomplete: true"):
        opened(path)
    data = opened(path, skip_incomplete=True)
    assert items(data) == ROWS
    assert data.notes == ("2 texts without text or label left out",)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("text,label\nfine,good\ncafé,bad\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="line 3: the file is not in utf-8") as found:
        opened(path)
    assert found.value.key == "data.encoding"
    assert items(opened(path, encoding="latin-1"))[1] == ("café", "bad")
    with pytest.raises(ConfigError, match="there is no encoding 'klingon'"):
        opened(path, encoding="klingon")
    table = "text,label\na,good\nb,bad\n"
    for content, encoding in (
        (b"\xef\xbb\xbf" + table.encode(), "utf_8"),
        (table.encode("utf-16"), "utf-16"),
        (b"\xff\xfe" + table.encode("utf-16-le"), "utf-16-le"),
    ):
        path.write_bytes(content)
        assert items(opened(path, encoding=encoding)) == [("a", "good"), ("b", "bad")]
    path.write_bytes(table.encode("utf-16-le"))
    with pytest.raises(ConfigError, match=r"not in utf-8 .it is full of NUL .* utf-16-le"):
        opened(path)
    for odd in ("undefined", "utf\0", "hex"):
        with pytest.raises(ConfigError, match="there is no encoding"):
            opened(path, encoding=odd)


def refused(tmp_path: Path, content: str, name: str = "x.csv", **options: Any) -> str:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RLTransferError) as found:
        opened(path, **options)
    return found.value.message


def test_what_is_no_table_of_labelled_texts_is_refused_in_words(tmp_path: Path) -> None:
    assert "has no column 'text'; it has class, review" in refused(tmp_path, "review,class\na,good\n")
    assert "Name it under label" in refused(
        tmp_path, '{"text": "a", "class": 1}\n', "x.jsonl", skip_incomplete=True
    )
    assert "line 2 has more cells" in refused(tmp_path, "text,label\na, b,good\n")
    assert "holds no labelled texts" in refused(tmp_path, "text,label\n")
    assert "it has the column label more than once" in refused(tmp_path, "label,text,label\n1,a,good\n")
    assert "entry 1 is no JSON object but list" in refused(tmp_path, "[1]\n", "x.jsonl")
    assert "Expecting" in refused(tmp_path, "{nothing\n", "x.jsonl")
    assert "expected a table" in refused(tmp_path, "x", "x.xlsx")
    many = "text,label\n" + "".join(f"text {i},class {i}\n" for i in range(1001))
    assert "1,001 different values in 1,001 rows; is it the label?" in refused(tmp_path, many)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", 'text,label\na,good\n"open,bad\nb,good\n"said,bad\n'),
        ("x.tsv", 'text\tlabel\na\tgood\n"open\tbad\nb\tgood\n'),
        ("x.tsv", 'text\tlabel\na\tgood\n"open\tbad\nand said so"\tgood\n'),
    ],
)
def test_a_quotation_mark_that_is_not_closed_swallows_no_rows(
    tmp_path: Path, name: str, content: str
) -> None:
    said = refused(tmp_path, content, name, skip_incomplete=True)
    assert "line" in said
    assert "A text with quotation marks in it stands in such marks itself" in said


def test_quoted_texts_may_have_lines_and_quotation_marks(tmp_path: Path) -> None:
    rows = '"two\nlines, ""so""{0}good\nb "c" d{0}bad\n'
    for name, end in (("x.csv", ","), ("x.tsv", "\t")):
        path = tmp_path / name
        path.write_text(f"text{end}label\n" + rows.replace("{0}", f'"{end}', 1).replace("{0}", end))
        assert items(opened(path)) == [('two\nlines, "so"', "good"), ('b "c" d', "bad")]


def test_half_a_character_is_no_text(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", [*ROWS, ("half \ud800", "good"), ("whole \U0001f600", "good")])
    with pytest.raises(ConfigError, match=r"line 5 has no text .*\\ud800"):
        opened(path)
    assert len(items(opened(path, skip_incomplete=True))) == 5


def test_what_looks_like_a_slip_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", [("a", "Good"), ("b", "good"), ("c", "0")])
    assert opened(path, names={"0": "bad", "1": "fine"}).notes == (
        "names of labels that no text has: 1",
        "classes that differ in case alone: Good, good",
    )
    for name in ("train", "val", "test"):
        written(tmp_path / f"{name}.csv", [(f"{name} {text}", label) for text, label in ROWS])
    assert opened(tmp_path).notes == ("splits that are not read: val",)
    written(tmp_path / "train.jsonl", ROWS)
    with pytest.raises(ConfigError, match=r"has train\.csv, train\.jsonl; which one is the part 'train'"):
        opened(tmp_path)
    (tmp_path / "test.parquet").touch()
    with pytest.raises(ConfigError, match=r"and beside it test\.csv, train\.csv, train\.jsonl, val\.csv"):
        opened(tmp_path)


def test_accents_and_endings_are_known_however_they_are_written(tmp_path: Path) -> None:
    written(tmp_path / "train.csv", [*ROWS, ("cafe\u0301", "good")])
    written(tmp_path / "test.csv", [("CAF\u00c9", "good"), ("z", "bad")])
    assert opened(tmp_path).notes == ("1 text to learn from that are in the test part too left out",)
    for name in ("good/a.TXT", "bad/b.txt"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True)
        (tmp_path / "folder" / name).write_text(name, encoding="utf-8")
    data = TextData(name="texts", path=str(tmp_path / "folder"))
    assert items(open_texts(data)) == [("bad/b.txt", "bad"), ("good/a.TXT", "good")]
    assert len([*data.read_files()]) == 2


def test_labels_of_more_digits_than_numbers_have_are_names(tmp_path: Path) -> None:
    assert opened(written(tmp_path / "x.csv", [("a", "9" * 5000), ("b", "1")])).classes[0] == "1"


def test_a_class_without_test_texts_is_refused_as_such(tmp_path: Path) -> None:
    written(tmp_path / "train.csv", [*ROWS, ("odd", "neutral")])
    written(tmp_path / "test.csv", [("new", "good"), ("old", "bad")])
    with pytest.raises(ConfigError, match="class neutral has no texts in the test part"):
        TEXTS.open_data(TextData(name="texts", path=str(tmp_path)))


def test_a_label_in_the_test_part_only_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "train.csv", ROWS)
    written(tmp_path / "test.csv", [("new", "good"), ("odd", "neutral"), ("old", "bad")])
    with pytest.raises(ConfigError, match="class neutral has texts in the test part only"):
        opened(tmp_path)
    data = TEXTS.open_data(TextData(name="texts", path=str(tmp_path), classes=("bad", "good")))
    assert data.test is not None
    assert len(data.test) == 2


def test_texts_that_all_stand_there_with_several_classes_leave_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", [("torn", "good"), ("Torn", "bad")])
    with pytest.raises(
        ConfigError, match=r"no texts are left to learn from: 2 texts .* several classes left out"
    ):
        TEXTS.open_data(TextData(name="texts", path=str(path)))


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found nothing"):
        opened(tmp_path)


def test_files_that_are_not_read_do_not_change_the_data(tmp_path: Path) -> None:
    written(tmp_path / "train.csv", ROWS)
    data = TextData(name="texts", path=str(tmp_path))
    before = data.planned().fingerprint
    (tmp_path / "README.md").write_text("hello", encoding="utf-8")
    assert data.planned().fingerprint == before
    written(tmp_path / "train.csv", ROWS[::-1])
    assert data.planned().fingerprint != before


def test_splits_of_other_tables_are_chosen_by_name_too(tmp_path: Path) -> None:
    for name, text in (("train", "fine"), ("dev", "new"), ("test", "old")):
        written(tmp_path / f"{name}.csv", [(text, "good"), (f"not {text}", "bad")])
    assert items(opened(tmp_path, test_split="dev"), "test") == [("new", "good"), ("not new", "bad")]
    data = opened(tmp_path, split="dev")
    assert (items(data)[0], items(data, "test")[0]) == (("new", "good"), ("old", "good"))
    with pytest.raises(ConfigError, match="has no split 'odd'; it has dev, test, train") as found:
        opened(tmp_path, split="odd")
    assert found.value.key == "data.split"
    with pytest.raises(ConfigError, match="one table") as found:
        opened(tmp_path / "dev.csv", test_split="dev")
    assert found.value.key == "data.test_split"


def test_what_is_not_given_is_no_part_of_a_run_s_id(tmp_path: Path) -> None:
    plain = TextData(name="texts", path="x.csv")
    assert plain.plain().keys() & {"split", "test_split"} == set()
    assert TextData(name="texts", path="x.csv", split="dev").digest != plain.digest
