"""Input that nobody means: one message that names it, never a traceback, and nothing is trained."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rl_transfer.cli import _interrupt, _told_elsewhere
from support.cli import TRAIN, Call

NAME = "a" * 300
BOMB = "\n".join(
    [f"b0: &b0 [{', '.join('x' * 9)}]"]
    + [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 9)]
)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("<<=3", "<<: unknown key '<<'"),
        ("==3", "expected key=value"),
        ("=", "expected key=value"),
        ("name==", "command line:1:1: '=': tag:yaml.org,2002:value is no tag of plain data"),
        ("analysis={<<: {q: 1}}", "merge keys and compound keys are not supported"),
        ("analysis={=: 1}", "analysis.=: unknown key '='"),
        ("kind=[rl]", "kind: got ['rl'], accepted: rl, image"),
        ("kind={rl: 1}", "kind: got {'rl': 1}, accepted: rl, image"),
        (f"name={NAME}", "expected at most 80 characters"),
        (f"targets.{NAME}={{env: {{id: CartPole-v1}}}}", "expected at most 80 characters"),
        (f"strategies.0={NAME}", "is no shipped config of strategies"),
        (f"env={NAME}.yaml", "no such file"),
        (f"analysis={'[' * 1000}{']' * 1000}", "more than 50 levels deep"),
        (f"{'a.' * 1000}a=1", "the key has 1001 steps"),
        (f"root_seed={'9' * 5000}", "cannot be read as int"),
        (f"root_seed=0x{'f' * 5000}", "whole numbers go up to 2^128 - 1"),
        (f"root_seed={2**128}", "whole numbers go up to 2^128 - 1"),
        ("strategies.²=1", "strategies is a list of 4; address an item by its index, 0 to 3"),
        (f"strategies.{'9' * 5000}=1", "address an item by its index"),
        ("seeds=1000000000", "got 1,000,000,000, expected at most 100,000: each is a run"),
        ("seeds=1e9", "got 1000000000.0, expected a whole number"),
        ("seeds=100000", "1 × 3 × 4 × 100,000, expected at most 1,000,000 places"),
        ("algorithm.policy_kwargs.net_arch=[1000000000]", "got 1,000,000,000, expected at most 16,384"),
        ("algorithm.policy_kwargs.net_arch=[16384, 16384, 16384]", "536,870,912 weights between its layers"),
        ("algorithm.policy_kwargs.net_arch={pi: [1000000000]}", "got 1,000,000,000, expected at most 16,384"),
        (f"algorithm.policy_kwargs.net_arch=[{'8, ' * 65}]", "at most 64 items"),
        ("algorithm.n_epochs=1000000000", "n_epochs: got 1,000,000,000, expected at most 10,000"),
        ("algorithm.n_envs=1000000", "expected at most 65,536: each is an environment"),
        ("algorithm.learning_rate=1e9", "learning_rate: got 1,000,000,000.0, expected at most 10: weights"),
        ("algorithm.learning_rate={linear: 1e9}", "got 1,000,000,000.0, expected at most 10: weights"),
        ("evaluation.episodes=1000000000", "got 1,000,000,000, expected at most 100,000"),
        ("training.total_steps=10000000000000", "expected less than or equal to 1000000000000"),
        ("analysis.bootstrap=1000000000000", "expected less than or equal to 1000000"),
        ("analysis.delta=1e9", "expected less than or equal to 1"),
        ("summary=2020-99-99", "'2020-99-99' cannot be read as timestamp"),
        ('summary="\\ud800"', "has half a character"),
        ('summary="\\U99999999"', "not valid YAML"),
        ("\udcff=1", "expected key=value"),
        ("targets.longer-pole.severity=[" + "0.5, " * 101 + "]", "101 severities, expected at most 100"),
    ],
)
def test_overrides_that_nobody_means_are_refused_at_load(call: Call, override: str, says: str) -> None:
    outcome = call("sweep", "quickstart", override, "-o", "out")
    assert outcome.code == 3
    assert says in outcome.err
    assert len(outcome.err) < 1000
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: " + "[" * 1000 + "]" * 1000, "config.yaml:1:29: lists and maps more than 50 levels deep"),
        ("a: " + "{a: " * 1000 + "1" + "}" * 1000, "more than 50 levels deep"),
        ("\n".join(" " * level + "a:" for level in range(700)), "more than 50 levels deep"),
        (BOMB, "more than 10,000 keys and values; a config is a page, not a data set, aliases written out"),
        ("a: [" + "1," * 2_500_000 + "]", "larger than 256 KiB"),
        ("a: [" + "1," * 100_000 + "]", "more than 10,000 keys and values"),
        ("a: &a [*a]", "an alias that contains itself"),
        ("a: !!int x", "config.yaml:1:4: 'x' cannot be read as int"),
        ("a: " + "9" * 5000, "cannot be read as int"),
        ("<<: {a: 1}", "config.yaml:1:1: a key is a plain word; merge keys"),
        ("\n".join(f"k{number}: 1" for number in range(1000)), " more\n"),
    ],
)
def test_files_that_nobody_means_are_refused_at_load(
    call: Call, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    outcome = call("sweep", "./config.yaml")
    assert outcome.code == 3
    assert says in outcome.err
    assert len(outcome.err) < 10_000


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["sweep", "./{}.yaml"], 3),
        (["sweep", "{}"], 3),
        (["train", "./{}.yaml"], 3),
        (["transfer", "cartpole-reversed", "--source", "{}"], 6),
        (["evaluate", "{}"], 6),
        (["evaluate", "{}", "--env", "{}"], 6),
        (["report", "{}"], 7),
        (["board", "{}"], 7),
        (["policies", "inspect", "{}"], 6),
        (["policies", "import", "{}", "-o", "{}"], 6),
        (["policies", "export", "{}", "--sb3", "{}"], 6),
        (["policies", "table", "{}"], 6),
        (["envs", "show", "{}"], 4),
        (["envs", "check", "{}"], 4),
        (["configs", "show", "{}"], 3),
        (["configs", "copy", "cartpole", "{}/x"], 7),
        (["{}"], 2),
        (["sweep", "--{}"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("name", ["[b]", "[/b]", NAME])
def test_names_with_markup_or_without_end_are_printed_as_they_are(
    call: Call, arguments: list[str], code: int, name: str
) -> None:
    outcome = call(*(argument.format(name) for argument in arguments))
    assert outcome.code == (1 if name == NAME and outcome.code == 1 else code), outcome.err
    assert name[:70] in outcome.err.replace("\n", "")


def test_a_result_in_a_folder_with_markup_in_its_name_is_printed_as_it_is(
    call: Call, trained: Path, tmp_path: Path
) -> None:
    assert call("policies", "export", str(trained), "--sb3", "[b].zip").out == "[b].zip written\n"
    assert (
        "\nbundle: [/b]\n"
        in f"\n{call('policies', 'import', '[b].zip', '-e', 'CartPole-v1', '-o', '[/b]').out}"
    )
    assert ":smile: is no sweep folder" in call("report", ":smile:").err
    assert "[/red]" in call("train", "./train.yaml", "-o", "[/red]").out


def program(*arguments: str, shell: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The real program, its output sent through a shell's redirection."""
    command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "", sys.executable, "-m", "rl_transfer"]
    return subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_told_as_what_it_is() -> None:
    for arguments in (["configs", "list"], ["configs", "show", "cartpole"], ["--version"]):
        outcome = program(*arguments, shell=">/dev/full")
        assert outcome.returncode == 1
        assert outcome.stderr == "error: output cannot be written: No space left on device\n"
    assert program("sweep", "nothing", shell="2>/dev/full").returncode == 3
    assert program("configs", "list", shell=">/dev/full 2>/dev/full").returncode == 1


def test_a_pipe_that_nobody_reads_on_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(TRAIN, encoding="utf-8")
    outcome = program("train", "./train.yaml", "-o", "out", shell="| true", cwd=tmp_path)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert [*tmp_path.glob("out/runs/*/record.json")]


INTERRUPTED = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Presses(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            for _ in range(5):
                os.kill(os.getpid(), signal.{number})

sys.meta_path.insert(0, Presses())
sys.argv = ["rl-transfer", "sweep", "quickstart", "--dry-run"]
from rl_transfer.cli import main
main()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["rl_transfer.cli.app", "typer", "rl_transfer.spec", "torch"])
def test_five_interruptions_in_the_imports_end_with_one_message(
    module: str, number: str, tmp_path: Path
) -> None:
    script = INTERRUPTED.format(module=module, number=number)
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (outcome.returncode, outcome.stderr.strip()) == (130, "interrupted")


def test_an_interruption_in_code_that_was_made_from_text_ends_with_the_same_exit_code(tmp_path: Path) -> None:
    """Dataclasses are; Python then ended the process by the signal, behind the message."""
    script = INTERRUPTED.format(module="torch", number="SIGINT")
    kill = "os.kill(os.getpid(), signal.SIGINT)"
    script = script.replace(kill, f'exec("{kill}\\nfor _ in range(99): pass")')
    (tmp_path / "pressed.py").write_text(script, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    outcome = subprocess.run(
        [sys.executable, "-m", "pressed"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (outcome.returncode, outcome.stderr.strip()) == (130, "interrupted")


def test_what_tidies_up_after_an_interruption_is_not_interrupted_again() -> None:
    steps = []

    def interrupted() -> None:
        try:
            _interrupt()
        finally:
            _interrupt()
            try:
                raise OSError
            except OSError:
                _interrupt()
            steps.append("tidied")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == ["tidied"]
    with pytest.raises(KeyboardInterrupt):  # the next one is a new one
        _interrupt()


class _AsyncWriterThread(threading.Thread):
    """Called as the thread of TensorBoard's writer."""


@pytest.mark.parametrize(
    ("thread", "told"), [(_AsyncWriterThread, False), (threading.Thread, True)], ids=["TensorBoard", "other"]
)
def test_what_tensorboard_could_not_write_is_told_once(
    thread: type[threading.Thread],
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(threading, "excepthook", _told_elsewhere)
    failing = thread(target=lambda: 1 // 0)
    failing.start()
    failing.join()
    assert ("ZeroDivisionError" in capsys.readouterr().err) is told


@pytest.fixture(autouse=True)
def _signals() -> object:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_current_folder_is_left_as_it_was(call: Call, tmp_path: Path) -> None:
    call("sweep", "quickstart", "seeds=1000000000")
    assert os.listdir(tmp_path) == []
