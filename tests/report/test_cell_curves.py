"""The numbers from which an opened cell is drawn: what the bands say, in grains of its target."""

import base64
import json
import re
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis import Matrix, analyse, read_sweep
from rl_transfer.report import cell_curves
from rl_transfer.report.cell_curves import curve_data
from support.untyped import untyped


@pytest.fixture(scope="module")
def matrix(partial: SimpleNamespace) -> Matrix:
    return analyse(read_sweep(partial.folder))


def data_of(text: str) -> Any:
    (block,) = re.findall(r'<script type="text/plain" class="curves">(.*?)</script>', text, re.DOTALL)
    return json.loads(block if block.startswith("{") else zlib.decompress(base64.b64decode(block)))


@pytest.mark.full
def test_the_numbers_are_those_of_the_bands(matrix: Matrix) -> None:
    data = data_of(curve_data(matrix))
    assert len(data["cells"]) == len(matrix.cells)
    parted = 0
    for cell, told in zip(matrix.cells, data["cells"], strict=True):
        assert cell.band is not None
        target = data["targets"][told["target"]]
        assert target["name"] == cell.target
        grain = target["grain"]
        on_target = [each.band.each for each in matrix.select(target=cell.target) if each.band is not None]
        assert 0 < grain <= np.ptp(np.concatenate(on_target)) / 1000
        assert data["steps"][told["steps"]] == cell.band.steps.tolist()
        np.testing.assert_allclose(np.array(told["mean"]) * grain, cell.band.mean, atol=grain)
        half = (cell.band.high - cell.band.low) / 2
        np.testing.assert_allclose(np.array(told["half"]) * grain, half, atol=grain)
        np.testing.assert_allclose(np.array(told["each"]) * grain, cell.band.each, atol=grain)
        assert ("over" in told) == (cell.parting is not None)
        if cell.parting is not None:
            parted += 1
            assert data["steps"][told["over"]["steps"]] == cell.parting.steps.tolist()
            mean, half = (np.array(told["over"][name]) * grain for name in ("mean", "half"))
            np.testing.assert_allclose(mean + half, cell.parting.high, atol=2 * grain)
    assert parted


def test_beside_a_cell_stand_the_arm_from_scratch_and_its_own_controls(matrix: Matrix) -> None:
    data = data_of(curve_data(matrix))
    beside = {
        (cell.source, cell.target, cell.strategy): [matrix.cells[place].strategy for place in told["beside"]]
        for cell, told in zip(matrix.cells, data["cells"], strict=True)
    }
    assert beside[None, "longer-pole", "scratch"] == []
    assert beside["acrobot", "longer-pole", "fine-tune"] == ["scratch"]
    assert beside["acrobot", "longer-pole", "frozen-trunk-new-head"] == ["scratch", "random-frozen"]
    assert beside[None, "longer-pole", "random-frozen"] == ["scratch"]
    assert all(
        matrix.cells[place].target == cell.target
        for cell, told in zip(matrix.cells, data["cells"], strict=True)
        for place in told["beside"]
    )


def test_many_evaluations_are_thinned_and_many_seeds_left_out(
    matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_curves, "MOST_POINTS", 5)
    monkeypatch.setattr(cell_curves, "MOST_SEEDED", 10)
    monkeypatch.setattr(cell_curves, "MOST_PLAIN", 100)
    text = curve_data(matrix)
    assert "{" not in text, "compressed"
    first = data_of(text)["cells"][0]
    band = matrix.cells[0].band
    assert band is not None
    steps = data_of(text)["steps"][first["steps"]]
    assert len(steps) == len(first["mean"]) == 5
    assert [steps[0], steps[-1]] == [band.steps[0], band.steps[-1]]
    assert "each" not in first


def test_what_people_named_ends_no_element(matrix: Matrix) -> None:
    evil = "</script><b>"
    hostile = untyped(SimpleNamespace)(
        **{name: getattr(matrix, name) for name in ("cells", "targets", "strategies", "sources", "numbers")},
        **{name: getattr(matrix, name) for name in ("settings", "baseline", "select", "unit")},
        labels=matrix.labels, measure=evil,
    )  # fmt: skip
    text = curve_data(hostile)
    assert text.count("<") == 2
    assert data_of(text)["measure"] == evil


@pytest.mark.parametrize("peak", [0.0, 1e-12, 1e6, 1e300])
def test_numbers_of_any_size_stay_short(peak: float) -> None:
    band = SimpleNamespace(each=np.array([[peak, peak * (1 - 1e-15)]]))
    grain = cell_curves._grain(untyped([SimpleNamespace(band=band)]))
    assert grain > 0
    assert peak / grain <= 1e11
