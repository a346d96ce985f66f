"""What the page shows beside the analysis: tasks, failures with logs, provenance, what runs were made of."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.synthetic import SyntheticSweep
from report.test_page import check
from rl_transfer.analysis import analyse
from rl_transfer.analysis.inputs import Sweep, read_sweep
from rl_transfer.cli.common import say
from rl_transfer.report import write_report
from rl_transfer.report.logs import log_block, log_tail
from rl_transfer.report.provenance_view import provenance_section
from rl_transfer.report.runs_view import FAILURE_LINES, made_of, settings_text
from rl_transfer.results.manifest import write_config
from rl_transfer.results.portraits import Portrait, Portraits, write_portraits
from rl_transfer.spec import digest
from support.cli import calling
from support.records import change_manifest, change_record

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x64\0\0\0\x64"
FAILED = "cartpole-longer-pole-fine-tune-2"
CONFIG_TEXT = "kind: rl\nname: <again>\n"
ODD = (None, 5, -1.5, True, "text", "9" * 5000, [5], {"a": [None]})
MATRIX: Any = SimpleNamespace(versions={})
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
    failure = {"message": f"ValueError: \x1b]0;owned\x07boom\x1b[2J {HOSTILE}\nmore"}
    (folder / "runs" / FAILED / "failure.json").write_text(json.dumps(failure))
    whole = {"plan": PLAN, "provenance": PROVENANCE, "started": "2026-11-26T16:27:40+00:00",
             "finished": "2026-11-26T16:29:40+00:00", "cpu_seconds": 3600.0,
             "frozen": {"parts": ["policy_trunk"], "digest_before": "a", "digest_after": "a"}}  # fmt: skip
    change_record(folder / "runs" / "cartpole-weaker-motor-fine-tune-0", **whole)
    for seed, decided in ((1, False), (2, False), (3, True), (4, None)):
        aligned = {"alignment": {"shuffled": False, "actions": {"order": [1, 0], "decided": decided}}}
        change_record(folder / "runs" / f"cartpole-weaker-motor-fine-tune-{seed}", **aligned)
    longer = Portrait("CartPole-v1", ("length ×3: 0.5 → 1.5 m",), PNG + b"base", PNG + b"longer")
    weaker = Portrait("CartPole-v1", ("force_mag ×0.5",), note="base and target look alike")
    sources = {"cartpole": Portrait("CartPole-v1")}
    write_portraits(folder, Portraits("key", {"longer-pole": longer, "weaker-motor": weaker}, sources))
    write_config(folder, CONFIG_TEXT)
    change_manifest(folder, config_yaml=digest(CONFIG_TEXT, 64))
    paths = write_report(folder)
    page, table = paths.page, paths.table
    return SimpleNamespace(
        folder=folder, table=table, page=page, text=" ".join(check(page).text), html=page.read_text()
    )


@pytest.mark.full
def test_targets_are_told_with_base_and_target_side_by_side(told):
    assert "Source" in told.text
    assert "CartPole-v1, unperturbed" in told.text
    assert "length ×3: 0.5 → 1.5 m" in told.text
    assert "base and target look alike" in told.text
    assert told.html.count("<img ") == 2
    assert 'alt="longer-pole at its first reset, from the same seed: length ×3: 0.5 → 1.5 m"' in told.html


def test_a_cell_is_flagged_where_the_order_of_actions_is_not_decided(told):
    said = "in 2 of 5 runs (seeds 1, 2) the order of actions is not decided: the likeliest one was taken"
    assert said in told.text
    sweep = read_sweep(told.folder)

    def flagged(sweep: Sweep) -> list[tuple[str, str | None]]:
        cells = analyse(sweep).cells
        return [(c.target, c.strategy) for c in cells if any(f.code == "undecided-order" for f in c.flags)]

    assert flagged(sweep) == [("weaker-motor", "fine-tune")]
    for change in ({"shuffled": True}, {"actions": {"decided": True}}, {"actions": {"decided": "no"}}):
        runs = tuple(
            replace(run, record={**run.record, "alignment": {**run.record["alignment"], **change}})
            if run.record and "alignment" in run.record
            else run
            for run in sweep.runs
        )
        assert flagged(replace(sweep, runs=runs)) == [], "shuffled pairs decide nothing, others are decided"


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


def test_what_a_run_says_of_its_failure_commands_no_terminal(told, capfd):
    say(told.table)
    said = capfd.readouterr().out
    listed = calling(capfd)("runs", "list", str(told.folder))
    for text in (said, listed.out):
        assert "ValueError: boom" in " ".join(text.split())
        assert "\x1b" not in text
        assert "owned" not in text


def test_the_page_says_where_it_comes_from_and_how_to_do_it_again(told):
    for part in (
        "rl-transfer sweep <mine>.yaml",
        "not recorded (66 of 67 runs); abc123 with changes that are not committed (1 of 67 runs)",
        "A processor (AVX2), 8 cores, Linux x86_64",
        "to 2026-11-26 16:29 UTC; ",
        "1 run began more than once",
        json.loads((told.folder / "sweep.json").read_text())["digest"],
        "name: <again>",
        "rl-transfer sweep ./config.yaml",
    ):
        assert part in told.text, part


def again(told, text=CONFIG_TEXT, **config):
    """What the page says on how to do it again, with a config of these keys."""
    sweep = read_sweep(told.folder)
    changed = replace(sweep, manifest={**sweep.manifest, "config": {**sweep.config, **config}})
    return provenance_section(changed, MATRIX, text)


def test_a_config_that_was_changed_is_not_quoted_as_that_of_the_runs(told):
    assert "the same config gives the same runs" in again(told)
    changed = again(told, CONFIG_TEXT + "seeds: 3\n")
    assert "config.yaml is not what this sweep wrote" in changed
    assert "the same config gives" not in changed


def test_modules_of_the_users_are_named_where_it_says_how_to_do_it_again(told):
    assert "It names" not in again(told, algorithm={"extractor": "rl_transfer.rl.policies.extractors:X"})
    assert "It names cars, of which" in again(told, targets={"longer-pole": {"env": {"id": "cars:Mine-v0"}}})


def test_a_cell_opens_what_its_first_run_was_made_of(told):
    assert "4 tensors" in told.text
    assert "<not copied>" in told.text
    assert "Frozen: policy_trunk; the same digest before and after training." in told.text


def test_no_kind_of_value_in_a_record_breaks_the_page(told):
    run = next(each for each in read_sweep(told.folder).runs if each.role == "target" and each.finished)
    sound = told.folder / "runs" / "cartpole-weaker-motor-fine-tune-0"
    whole = json.loads((sound / "record.json").read_text())
    inner: list[dict[str, Any]] = [
        {key: {**value, name: odd}} for key, value in whole.items() if isinstance(value, dict)
        for name in value for odd in ODD
    ]  # fmt: skip
    inner += [
        {"parameters": {"total": 5, "trainable": "many"}},
        {"plan": [*ODD]},
        {"source_run": "r", "source_score": "high"},
    ]
    for change in inner + [{key: odd} for key in (*whole, "plan", "knobs", "replaced") for odd in ODD]:
        record = {**whole, **change}
        made_of(record)
        provenance_section(Sweep({"config": {"seeds": 1}}, (replace(run, record=record),)), MATRIX, "")


@pytest.mark.full
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


def test_a_log_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log.txt")
    assert log_tail(tmp_path / "log.txt", 3) == ""


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ("x" * 20_000, "x" * 300),
        ("Error: boom\n" + "".join(f"\r{n} %" for n in range(100)) + "\r\n", "Error: boom\n99 %"),
        ("a\r\nb\r\n", "a\nb"),
        ("\x1b]0;title\x07a\x9b31mb\u202ec\u2066\x85d\x1b[2;3Hé", "abcdé"),
    ],
)
def test_what_only_a_terminal_understands_hides_no_line_of_a_log(tmp_path, log, shown):
    (tmp_path / "log.txt").write_bytes(log.encode())
    assert log_tail(tmp_path / "log.txt", 3) == shown


def test_a_log_that_ends_with_blank_lines_is_not_called_empty(tmp_path):
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("Error: boom" + "\n" * 17_000)
    assert "nothing to read at the end of runs/r/log.txt" in log_block(tmp_path, "r", 3)


def test_settings_leave_out_what_is_not_set():
    given = {"a": {"b": None}, "c": True, "d": [1, 2.50], "e": {"linear": 1e-3}}
    assert settings_text(given) == "c yes, d 1, 2.5, e (linear 0.001)"
