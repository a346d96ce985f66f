"""Runs of more than one version, code or kind of CPU are told with their numbers."""

from rl_transfer.analysis import analyse
from rl_transfer.analysis.terminal import text_table

from .hand_made import FAST, FINE, SCRATCH, SLOW, arm, sweep


def warnings(**record: object) -> list[str]:
    """Of four runs from scratch with plain records, and four of fine-tuning that differ."""
    plain = {
        "versions": {"torch": "2.12", "numpy": "1.26"},
        "code": {"cars": "sha256:aa"},
        "provenance": {"cpu": "Old (AVX2)"},
        "engine": {"name": "compiled", "blas_kernels": "Haswell"},
    }
    arms = {SCRATCH: arm(SCRATCH, [SLOW] * 4, **plain), FINE: arm(FINE, [FAST] * 4, **{**plain, **record})}
    matrix = analyse(sweep(arms))
    assert all(text.split(":")[0] in text_table(matrix).replace("\n  ", " ") for text in matrix.warnings)
    return [text for text in matrix.warnings if "computed" in text]


def test_runs_of_one_kind_are_told_nothing() -> None:
    assert warnings() == []


def test_other_code_is_told_by_its_digests() -> None:
    assert warnings(code={"cars": "sha256:bb"}) == [
        "4 runs were computed with cars sha256:aa, 4 with sha256:bb"
    ]


def test_what_differs_is_told_by_name() -> None:
    """Whatever the order of the records: of versions, then of code."""
    assert warnings(versions={"torch": "2.13", "numpy": "2.0"}, code={"cars": "sha256:bb"}) == [
        "4 runs were computed with cars sha256:aa, 4 with sha256:bb",
        "4 runs were computed with numpy 1.26, 4 with 2.0",
        "4 runs were computed with torch 2.12, 4 with 2.13",
    ]


def test_other_kinds_of_cpu_are_told() -> None:
    assert warnings(provenance={"cpu": "New (AVX512)"}) == [
        "4 runs were computed on New (AVX512), 4 on Old (AVX2): the same run may round differently there"
    ]


def test_other_matrix_products_on_the_same_cpu_are_told() -> None:
    assert warnings(engine={"name": "compiled", "blas_kernels": "SkylakeX"}) == [
        "4 runs were computed with OpenBLAS's products for Haswell, 4 for SkylakeX: "
        "the same run may round differently there"
    ]
    assert warnings(engine={"name": "compiled", "blas_kernels": None}) == []
    assert warnings(engine={"name": "sb3"}) == []


def test_a_record_that_does_not_say_is_no_difference() -> None:
    assert warnings(versions=None, code={}, provenance=None) == []
