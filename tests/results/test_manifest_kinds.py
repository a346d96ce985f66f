"""A manifest that somebody changed and sealed again is named as damaged, and never gives a traceback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rl_transfer.analysis.contexts import contexts
from rl_transfer.analysis.inputs import Sweep, load_sweep
from rl_transfer.analysis.settings import read_dose, read_engine, read_number, read_range
from rl_transfer.analysis.success import read_success
from rl_transfer.analysis.tolerance import read_tolerance
from rl_transfer.errors import RLTransferError, StoreError
from rl_transfer.results import RunStore, read_manifest
from rl_transfer.results.address import addresses
from rl_transfer.results.inventory import list_runs
from rl_transfer.results.seal import SCHEMA, sealed
from rl_transfer.sweep.looks import declared_looks
from rl_transfer.sweep.matrix import check_matrix, no_longer_planned
from support.cli import Call, calling

ENV = {"id": "CartPole-v1", "kwargs": {}, "perturb": [{"length": "x3"}]}
WHOLE: dict[str, Any] = {
    "name": "x", "kind": "rl", "unit": "environment steps", "measure": "mean episodic return",
    "labels": {"chance": "random policy", "digits": 3}, "looks": [[0, 1], [2, 3]],
    "tolerances": {"far": {"share": 0.05, "of": "threshold", "reference": 475.0}},
    "config": {
        "name": "x", "kind": "rl", "summary": "all that is read", "baseline": "scratch", "root_seed": 0,
        "seeds": [0, 1, 2, 3], "analysis": {"delta": 0.05},
        "strategies": [
            {"name": "scratch", "summary": "", "control": False, "control_for": [], "copy": [], "freeze": []},
        ],
        "sources": {"base": {"summary": "", "bar": 400.0, "env": ENV, "notes": []}},
        "targets": {
            "far": {
                "summary": "", "reward_threshold": 475.0, "return_range": [0.0, 500.0], "env": ENV,
                "success": {"return": 400.0}, "axis": "a", "severity": 0.5, "notes": [],
                "engine": {"name": "compiled", "reason": ""},
            },
        },
    },
    "runs": [
        {
            "id": "aaaa", "role": "target", "source": "base", "target": "far", "strategy": "scratch",
            "seed": 0, "needs": [], "point": 0,
        },
    ],
}  # fmt: skip
HUGE = 10**400
WRONG: list[tuple[str, list[Any]]] = [
    ("config", [[], "x", 5, True]),
    ("config.seeds", ["four", 0, -1, True, 10**9, 2.5, HUGE, ["a"], [None], [[0]], [HUGE]]),
    ("config.root_seed", ["abc", -1, 1.5, True, [], {}, HUGE]),
    ("config.baseline", [7, [], {}]),
    ("config.summary", [7, [], {}]),
    ("config.strategies", ["x", 5, True]),
    ("config.strategies.0", [None, "x", 5, []]),
    ("config.strategies.0.name", [None, 5, [], {}]),
    ("config.strategies.0.control_for", [5, {}, [5]]),
    ("config.strategies.0.copy", [5, True, [None]]),
    ("config.sources", [[], "x", 5]),
    ("config.sources.base", ["x", 5, [1]]),
    ("config.targets", [["far"], "x", 5]),
    ("config.targets.far", ["x", 5, [1]]),
    ("config.targets.far.env", ["CartPole-v1", 5]),
    ("config.targets.far.env.perturb", [5, "x", {}]),
    ("config.analysis", [[], "x", 5]),
    ("tolerances", [[], "x", 5]),
    ("tolerances.far", [[1], "x", 5]),
    ("looks", ["x", 5, {}, [0], [["a"]], [[HUGE]]]),
    ("labels", [[], "x", 5]),
    ("name", [5, []]),
    ("runs", [None, {}, 5]),
    ("runs.0", [None, 5, []]),
    ("runs.0.id", [None, 5, "", "..", "../../elsewhere", "a\0b", "x" * 5000]),
    ("runs.0.role", [None, 5, []]),
    ("runs.0.seed", [None, "0", 1.5, True, -1, HUGE]),
    ("runs.0.needs", ["aaaa", 5, {}, [5], [["a"]]]),
    ("runs.0.point", ["0", -1, 0.5, []]),
]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    RunStore(tmp_path / "sweep").open()
    return tmp_path / "sweep"


def write_sealed(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "sweep.json").write_text(json.dumps(sealed({"schema": SCHEMA, **manifest})), encoding="utf-8")


def changed(address: str, value: object) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(json.dumps(WHOLE))
    *before, last = (int(key) if key.isdigit() else key for key in address.split("."))
    place: Any = manifest
    for key in before:
        place = place[key]
    place[last] = value
    return manifest


@pytest.mark.parametrize(("address", "values"), WRONG, ids=[address for address, _ in WRONG])
def test_a_wrong_kind_is_named_with_what_to_do(sweep: Path, address: str, values: list[Any]) -> None:
    for value in values:
        write_sealed(sweep, changed(address, value))
        with pytest.raises(StoreError) as refused:
            read_manifest(sweep)
        assert f"sweep.json is damaged: {address} is " in refused.value.message, value
        assert "Run the same sweep again: it writes the file anew" in refused.value.message
        assert len(refused.value.message) < 500


def test_what_sweeps_write_is_read(sweep: Path) -> None:
    told = changed("config.seeds", {"plan": [4, 8], "first": 0})
    none: dict[str, Any] = {"runs": []}
    for manifest in (WHOLE, told, changed("config.strategies", {"scratch": {}}), none):
        write_sealed(sweep, manifest)
        assert read_manifest(sweep)["runs"] == manifest["runs"]


def test_every_verb_says_so(sweep: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call: Call = calling(capfd)
    write_sealed(sweep, changed("config.seeds", "four"))
    folder = str(sweep)
    for words in (
        ("report", folder), ("runs", "list", folder), ("compare", folder, folder),
        ("calibrate", folder, "-o", str(sweep / "c.json")),
    ):  # fmt: skip
        done = call(*words)
        assert done.code == 7, words
        assert "is damaged: config.seeds is 'four', expected a number of seeds" in " ".join(done.err.split())


def leaves(value: Any, address: str = "") -> Iterator[str]:
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        here = f"{address}.{key}".lstrip(".")
        yield here
        if isinstance(each, dict | list):
            yield from leaves(each, here)


def readings(folder: Path, manifest: dict[str, Any]) -> None:
    """Whatever is read of a manifest without looking at a run's figures."""
    store = RunStore(folder)
    sweep: Sweep = load_sweep(folder, manifest)
    config = sweep.config
    for read in (
        lambda: list_runs(folder), lambda: addresses(manifest), lambda: check_matrix(folder, WHOLE, {}),
        lambda: no_longer_planned(store, manifest), lambda: sweep.settings, lambda: sweep.strategies,
        lambda: declared_looks(store, ((0, 1), (2, 3)), is_plan=True),
        lambda: (sweep.name, sweep.labels, sweep.baseline, sweep.root_seed, sweep.first_look),
        lambda: read_number(config, "sources", "base", "bar"), lambda: read_dose(config, "far"),
        lambda: read_number(config, "targets", "far", "reward_threshold"),
        lambda: read_range(config, "far", sweep.labels), lambda: read_engine(config, "far"),
        lambda: read_success(config, "far"), lambda: read_tolerance(manifest, "far", 20.0, spans=True),
        lambda: contexts(sweep, _Names()),  # type: ignore[arg-type]
    ):  # fmt: skip
        try:
            read()
        except RLTransferError as error:
            assert len(error.message) < 600  # noqa: PT017


class _Names:
    sources, targets = ("base",), ("far",)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(HUGE) | st.just(-HUGE) | st.text(max_size=4)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(address="config.targets.far.success", value=[10**400] * 2)
@example(address="tolerances.far", value={"raw_delta": [10**400] * 2})
@given(st.sampled_from([*leaves(WHOLE)]), ANYTHING)
def test_nothing_at_all_gives_a_traceback(sweep: Path, address: str, value: Any) -> None:
    write_sealed(sweep, changed(address, value))
    try:
        manifest = read_manifest(sweep)
    except StoreError:
        return
    readings(sweep, manifest)
