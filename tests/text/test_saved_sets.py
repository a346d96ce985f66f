"""Data sets of Hugging Face on disk: which split is read, what it holds, and what is refused in words."""

import contextlib
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.spec.saved_sets import find_saved
from rl_transfer.spec.text import TextData
from rl_transfer.supervised.data import OpenedData
from rl_transfer.text.room import TEXTS
from support.saved_sets import TEXTS as FEATURES
from support.saved_sets import save, save_splits, table_of, write_parquet, write_stream
from support.sentences import sentences

ROWS = [("a fine one", 1), ("a dull one", 0), ("what a joy", 1), ("what a bore", 0), ("so nice", 1)]
READ = [(text, ("neg", "pos")[label]) for text, label in ROWS]
TEST = [("new and nice", 1), ("new and dull", 0)]


def opened(place: Path, **options: Any) -> OpenedData:
    return TEXTS.open_data(TextData(name="texts", path=str(place), **options))


def items(data: OpenedData, part: str = "pool") -> list[tuple[str, str]]:
    found = getattr(data, part)
    return [(found.load(i), data.classes[label]) for i, label in enumerate(found.labels)]


def refused(place: Path, key: str = "data.path", **options: Any) -> str:
    with pytest.raises(ConfigError) as found:
        opened(place, **options)
    assert found.value.key == key
    return found.value.message


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def as_stream(place: Path) -> Path:
    return write_stream(place / "x.arrow", table_of(ROWS))


def as_parquet(place: Path) -> Path:
    return write_parquet(place / "x.parquet", table_of(ROWS))


def as_hub(place: Path) -> Path:
    for i, rows in enumerate((ROWS[:2], ROWS[2:])):
        write_parquet(place / "data" / f"train-{i:05d}-of-00002.parquet", table_of(rows))
    return place


def as_converted(place: Path) -> Path:
    return write_parquet(place / "train" / "0000.parquet", table_of(ROWS)).parent.parent


@pytest.mark.parametrize(
    "write",
    [
        lambda place: save(place, table_of(ROWS)),
        lambda place: save(place, table_of(ROWS[:2]), table_of(ROWS[2:3]), table_of(ROWS[3:])),
        lambda place: save_splits(place, train=table_of(ROWS)),
        lambda place: save(place / "train", table_of(ROWS)).parent,
        as_stream, as_parquet, as_hub, as_converted,
    ],
)  # fmt: skip
def test_every_form_says_the_same(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    place = tmp_path / "set"
    place.mkdir()
    data = opened(write(place))
    assert data.classes == ("neg", "pos")
    assert items(data) == READ
    assert data.test is None
    assert data.notes == ()


def test_splits_are_chosen_by_name(tmp_path: Path) -> None:
    more = [("never seen", -1), ("nor this", -1)]
    place = save_splits(
        tmp_path, train=table_of(ROWS), validation=table_of(TEST), test=table_of(more), extra=table_of(more)
    )
    assert refused(place).startswith(f"no row of the split 'test' of {place / 'test'} has a class")
    (place / "extra" / "state.json").unlink()  # nobody asks for it
    data = opened(place, test_split="validation")
    assert (items(data), items(data, "test")) == (READ, [("new and nice", "pos"), ("new and dull", "neg")])
    assert data.notes == ("splits that are not read: extra, test",)
    alone = opened(place, split="validation", test_split="train")
    assert len(alone.pool) == 2
    assert "has no split 'dev'; it has extra, test, train, validation" in refused(
        place, "data.split", split="dev"
    )
    assert "cannot be learned from" in refused(place, "data.test_split", split="train", test_split="train")
    assert "leave split out" in refused(place / "train", "data.split", split="train")
    named = save_splits(tmp_path / "named", en=table_of(ROWS), de=table_of(TEST))
    assert "has the splits de, en; which one is learned from?" in refused(named, "data.split")
    assert items(opened(named, split="en")) == READ


def test_only_files_that_are_read_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    place = save_splits(tmp_path, train=table_of(ROWS), test=table_of(TEST), extra=table_of(TEST))
    data = TextData(name="texts", path=str(place))
    before = data.planned().fingerprint
    (place / "train" / "cache-0123456789abcdef.arrow").write_bytes(b"of a map")
    write_stream(place / "extra" / "data-00000-of-00001.arrow", table_of(ROWS))
    assert data.planned().fingerprint == before
    rewrite(
        place / "train" / "dataset_info.json",
        features={**FEATURES, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}},
    )
    assert opened(place / "train").classes == ("no", "yes")
    assert data.planned().fingerprint != before


def test_chosen_rows_are_honoured_or_refused(tmp_path: Path) -> None:
    place = save(
        tmp_path, table_of(ROWS[:3]), table_of(ROWS[3:]), _indices_data_files=[{"filename": "indices.arrow"}]
    )
    assert "lacks 'indices.arrow'" in refused(place)

    def choose(*rows: int) -> None:
        write_stream(place / "indices.arrow", pa.table({"indices": pa.array(rows, pa.uint64())}))

    choose(4, 1, 0)
    assert items(opened(place)) == [READ[4], READ[1], READ[0]]
    choose(0, 5)
    assert "indices.arrow names row 5 of 5" in refused(place)
    rewrite(place / "state.json", _indices_data_files=None, _indices=[1, 2])
    assert "flatten_indices" in refused(place)


def test_labels_without_names_and_names_of_one_s_own(tmp_path: Path) -> None:
    plain = {**FEATURES, "label": {"dtype": "int64", "_type": "Value"}}
    place = save(tmp_path / "numbers", table_of([("a", 10), ("b", 2), ("c", -1)], plain))
    assert opened(place).classes == ("-1", "10", "2")
    texts = write_parquet(tmp_path / "x.parquet", table_of([("a", "x"), ("b", "y")], {}, label=pa.string()))
    assert items(opened(texts)) == [("a", "x"), ("b", "y")]
    named = opened(save(tmp_path / "named", table_of(ROWS)), names={"pos": "good", "neg": "bad"})
    assert named.classes == ("good", "bad")
    coded = table_of(ROWS).set_column(0, "text", pa.array([text for text, _ in ROWS]).dictionary_encode())
    assert items(opened(write_parquet(tmp_path / "coded.parquet", coded))) == READ


def test_rows_without_text_or_label_are_refused_or_counted(tmp_path: Path) -> None:
    place = save(tmp_path, table_of([*ROWS, (None, 1), ("secret", -1), ("none", None)]))
    assert "row 6 has no text" in refused(place)
    data = opened(place, skip_incomplete=True)
    assert items(data) == READ
    assert data.notes == ("3 texts without text or label left out",)


def test_wrong_columns_are_refused_by_name(tmp_path: Path) -> None:
    place = save(tmp_path / "x", table_of(ROWS))
    assert "no column 'review'; it has label, text" in refused(place, "data.text", text="review")
    assert "no column 'stars'" in refused(place, "data.label", label="stars")
    assert "'label' holds int64, no texts" in refused(place, "data.text", text="label")
    stars = write_parquet(tmp_path / "x.parquet", table_of([("a", 0.5)], {}, label=pa.float64()))
    assert "'label' holds double; expected one class per row" in refused(stars, "data.label")
    lists = write_parquet(tmp_path / "y.parquet", table_of([("a", [0, 1])], {}, label=pa.list_(pa.int64())))
    assert "one class per row" in refused(lists, "data.label")
    two = table_of(ROWS).append_column("text", pa.array(["x"] * len(ROWS)))
    assert "column text more than once" in refused(write_stream(tmp_path / "two.arrow", two))
    assert "class 2, and there are 2 classes" in refused(save(tmp_path / "z", table_of([*ROWS, ("odd", 2)])))
    assert "holds no labelled texts" in refused(save(tmp_path / "none", table_of([])))


def test_damaged_folders_are_refused_with_what_to_do(tmp_path: Path) -> None:
    place = save_splits(tmp_path / "x", train=table_of(ROWS), test=table_of(TEST))
    shard, state = (place / "test" / name for name in ("data-00000-of-00001.arrow", "state.json"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-8])
    assert "its end is missing" in refused(place)
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git lfs pull" in refused(place)
    shard.write_bytes(b"")
    assert "cannot be read as a table of Arrow" in refused(place)
    with pa.OSFile(str(shard), "wb") as sink, pa.ipc.new_file(sink, table_of(ROWS).schema):
        pass
    assert "expected the stream format" in refused(place)
    shard.unlink()
    assert "lacks 'data-00000-of-00001.arrow'" in refused(place)
    rewrite(state, _data_files=[{"filename": "../train/data-00000-of-00001.arrow"}])
    assert "no name of a file or folder in it" in refused(place)
    rewrite(state, _data_files=[{"filename": "x.arrow", "skip": 5}])
    assert "Write the data set again" in refused(place)
    state.write_text("[]", encoding="utf-8")
    assert "is no JSON object" in refused(place)
    state.write_text("{", encoding="utf-8")
    assert "cannot be read: Expecting" in refused(place)
    rewrite(place / "train" / "dataset_info.json", features=[])
    assert "features are no object" in refused(place / "train")
    rewrite(place / "dataset_dict.json", splits=["train", "gone"])
    assert "lacks 'gone'" in refused(place, split="gone")
    rewrite(place / "dataset_dict.json", splits=7)
    assert "splits are no list of names" in refused(place)


def test_what_lies_deeper_or_not_whole_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a" / "b" / "train-00000-of-00002.parquet", table_of(ROWS))
    assert f"{tmp_path / 'a' / 'b'} has train-00000-of-00002.parquet" in refused(tmp_path)
    assert "has 1 of the 2 files of the split 'train'" in refused(tmp_path / "a" / "b")


@pytest.mark.parametrize("write", [as_stream, as_parquet])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(
    tmp_path: Path, write: Callable[[Path], Path], data: st.DataObject
) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    with contextlib.suppress(ConfigError):
        assert len(opened(path, skip_incomplete=True).pool) <= len(ROWS)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = save(tmp_path, table_of(ROWS))
    real = importlib.import_module

    def missing(name: str) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'")
        return real(name)

    monkeypatch.setattr("rl_transfer.supervised.arrow_tables.importlib.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[arrow\]'"):
        opened(place)
    assert find_saved(place, (None, None), "data") is not None


def test_a_saved_set_is_split_like_any_table(tmp_path: Path) -> None:
    rows = [(text, ("bad", "good").index(name)) for text, name in sentences("films")]
    place = save_splits(tmp_path, train=table_of(rows[::2]), test=table_of([*rows[1::2], rows[0]]))
    data = TextData(name="texts", path=str(place), shots=5, validation=0.2).planned()
    splits = [TEXTS.split(data, 0, seed) for seed in (0, 0, 1)]
    drawn = [[each.train.load(i) for i in range(len(each.train))] for each in splits]
    assert drawn[0] == drawn[1] != drawn[2]
    assert splits[0].summary()["texts"] == {"train": [4, 4], "validation": [1, 1], "test": [21, 20]}
    assert splits[0].notes == ("1 text to learn from that are in the test part too left out",)
    write_stream(place / "test" / "data-00000-of-00001.arrow", table_of(TEST))
    with pytest.raises(ConfigError, match="has changed since this run was planned"):
        TEXTS.split(data, 0, 0)
