"""What the page shows beside the analysis: tasks, failures with logs, provenance, what runs were made of."""

import json
from types import SimpleNamespace

import pytest

from analysis.synthetic import SyntheticSweep
from report.test_page import check
from rl_transfer.report import write_report
from rl_transfer.report.logs import log_tail
from rl_transfer.report.runs_view import FAILURE_LINES, settings_text
from rl_transfer.results.manifest import write_config
from rl_transfer.results.portraits import Portrait, Portraits, write_portraits
from support.records import change_record

PNG = b"\x89PNG\r\n\x1a\nsmall"
FAILED = "cartpole-longer-pole-fine-tune-2"
HOSTILE = "\x1b[31m<script>alert(1)</script>\x1b[0m"
PLAN = [
    {"tensor": f"trunk.{n}", "part": "policy_trunk", "action": "copied", "frozen": "frozen", "reason": ""}
    for n in range(4)
] + [{"tensor": "head", "part": "action_head", "action": "reset", "frozen": None, "reason": "<not copied>"}]
PROVENANCE = {
    "command": "rl-transfer sweep <mine>.yaml", "git": {"commit": "abc123", "dirty": True}, "attempts": 2,
    "cpu": "A processor (AVX2)", "cores": 8, "platform": "Linux x86_64", "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A sweep with portraits, a config, a failed run with a hostile log, and one run that says everything."""
    folder = SyntheticSweep(failed=[FAILED]).write(tmp_path_factory.mktemp("told") / "sweep")
    lines = [f"line {n}" for n in range(100)] + [HOSTILE]
    (folder / "runs" / FAILED / "log.txt").write_text("\n".join(lines))
    whole = {"plan": PLAN, "provenance": PROVENANCE, "started": "2026-11-26T16:27:40+00:00",
             "finished": "2026-11-26T16:29:40+00:00", "cpu_seconds": 3600.0,
             "frozen": {"parts": ["policy_trunk"], "digest_before": "a", "digest_after": "a"}}  # fmt: skip
    change_record(folder / "runs" / "cartpole-weaker-motor-fine-tune-0", **whole)
    longer = Portrait("CartPole-v1", ("length ×3: 0.5 → 1.5 m",), PNG + b"base", PNG + b"longer")
    weaker = Portrait("CartPole-v1", ("force_mag ×0.5",), note="base and target look alike")
    sources = {"cartpole": Portrait("CartPole-v1")}
    write_portraits(folder, Portraits("key", {"longer-pole": longer, "weaker-motor": weaker}, sources))
    write_config(folder, "kind: rl\nname: <again>\n")
    page = write_report(folder).page
    return SimpleNamespace(folder=folder, page=page, text=" ".join(check(page).text), html=page.read_text())


def test_targets_are_told_with_base_and_target_side_by_side(told):
    assert "Source" in told.text
    assert "CartPole-v1, unperturbed" in told.text
    assert "length ×3: 0.5 → 1.5 m" in told.text
    assert "base and target look alike" in told.text
    assert told.html.count("<img ") == 2
    assert 'alt="longer-pole at its first reset, from the same seed: length ×3: 0.5 → 1.5 m"' in told.html


def test_a_failed_run_is_shown_with_the_end_of_its_log(told):
    section = told.text[told.text.index("Failures", told.text.index("Findings ")) :]
    assert "fine-tune from cartpole on longer-pole, seed 2" in section
    assert "ValueError: boom" in section
    assert f"line {101 - FAILURE_LINES}" in section
    assert "line 50" not in section
    assert f"runs/{FAILED}/log.txt" in section
    assert "<script>alert" not in told.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in told.html
    assert "\x1b" not in told.html


def test_the_page_says_where_it_comes_from_and_how_to_do_it_again(told):
    for part in (
        "rl-transfer sweep <mine>.yaml",
        "abc123 with changes that are not committed",
        "A processor (AVX2), 8 cores, Linux x86_64",
        "to 2026-11-26 16:29 UTC; ",
        "1 run began more than once",
        json.loads((told.folder / "sweep.json").read_text())["digest"],
        "name: <again>",
        "rl-transfer sweep ./config.yaml",
    ):
        assert part in told.text, part


def test_a_cell_opens_what_its_first_run_was_made_of(told):
    assert "4 tensors" in told.text
    assert "<not copied>" in told.text
    assert "Frozen: policy_trunk; the same digest before and after training." in told.text


def test_a_sweep_of_an_older_version_has_a_page_too(complete):
    text = " ".join(check(complete.paths.page).text)
    assert "Where this comes from" in text
    assert "stored no config.yaml" in text
    assert "<h2>Failures" not in complete.paths.page.read_text()


def test_the_end_of_a_log_is_read_without_reading_it_all(tmp_path):
    log = tmp_path / "log.txt"
    assert log_tail(log, 3) == ""
    log.write_bytes(b"x" * 100_000 + b"\nlast but one\n\x1b[1mlast\xff\x07\n\n")
    assert log_tail(log, 2) == "last but one\nlast\ufffd"


def test_settings_leave_out_what_is_not_set():
    given = {"a": {"b": None}, "c": True, "d": [1, 2.50], "e": {"linear": 1e-3}}
    assert settings_text(given) == "c yes, d 1, 2.5, e (linear 0.001)"
