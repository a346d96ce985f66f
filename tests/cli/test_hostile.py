"""Input that nobody means: one message that names it, never a traceback, and nothing is trained."""

import os
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import pytest

from rl_transfer.cli import _interrupt, _told_elsewhere
from support.cases import drawn
from support.cli import TRAIN, Call
from support.hostile import COMMANDS, FILES, NAME, OVERRIDES


@pytest.mark.parametrize(("override", "says"), OVERRIDES)
def test_overrides_that_nobody_means_are_refused_at_load(call: Call, override: str, says: str) -> None:
    outcome = call("sweep", "quickstart", override, "-o", "out")
    assert outcome.code == 3
    assert says in outcome.err
    assert len(outcome.err) < 1000
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seeds=1"] * 1_001, "1,001 overrides of 7,007 characters"),
        (["seeds=1", f"summary={'a' * 40_000}"], "2 overrides of 40,015 characters"),
    ],
)
def test_more_overrides_than_anybody_types_are_refused(call: Call, overrides: list[str], said: str) -> None:
    outcome = call("sweep", "quickstart", *overrides)
    assert outcome.code == 3
    assert f"error: {said} in all, expected at most 1,000 of 32,768" in outcome.err


@pytest.mark.parametrize(("text", "says"), FILES)
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
    COMMANDS,
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


@pytest.mark.full
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_told_as_what_it_is() -> None:
    for arguments in (["configs", "list"], ["--version"]):
        outcome = program(*arguments, shell=">/dev/full")
        assert outcome.returncode == 1
        assert outcome.stderr == "error: output cannot be written: No space left on device\n"
    assert program("sweep", "nothing", shell="2>/dev/full").returncode == 3
    assert program("configs", "list", shell=">/dev/full 2>/dev/full").returncode == 1


STREAMS = """\
import os, sys
from pathlib import Path
from rl_transfer import cli

def look(_):
    found = [os.readlink(f"/proc/self/fd/{number}") for number in range(3) if os.get_inheritable(number)]
    Path(sys.argv[1]).write_text(" ".join(found))
    return 0

cli._answer = look
cli.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_closed_streams_are_opened_before_a_file_takes_their_numbers(tmp_path: Path) -> None:
    """A worker's log would take the place of whatever had got the number of standard output."""
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    found = tmp_path / "found.txt"
    subprocess.run([*shell, sys.executable, "-c", STREAMS, str(found)], check=True)
    assert found.read_text("utf-8") == "/dev/null /dev/null /dev/null"


@pytest.mark.full
def test_a_pipe_that_nobody_reads_on_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(TRAIN, encoding="utf-8")
    outcome = program(
        "train", "./train.yaml", "training.engine=sb3", "-o", "out", shell="| true", cwd=tmp_path
    )
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


IMPORTED = ("rl_transfer.cli.app", "typer", "rl_transfer.spec", "torch")


@pytest.mark.parametrize(("module", "number"), drawn([*product(IMPORTED, ("SIGINT", "SIGTERM"))], 3))
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


def test_an_interruption_that_a_library_makes_an_error_of_its_own_of_is_one(tmp_path: Path) -> None:
    script = INTERRUPTED.format(module="typer", number="SIGINT")
    kill = "os.kill(os.getpid(), signal.SIGINT)"
    caught = "\n".join(
        [f"try: {kill}; os.getpid()", "except KeyboardInterrupt: raise ValueError('of its own') from None"]
    )
    script = script.replace(kill, f"exec({caught!r})")
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
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


WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None
sys.argv = ["rl-transfer", *{arguments!r}]
runpy.run_module("rl_transfer", run_name="__main__")
"""


READING = (("transfer", "cartpole-reversed", "--source"), ("policies", "inspect"))
NO_POLICIES = (
    ("missing", None, "no such file or folder"),
    ("p.zip", b"a" * 100, "p.zip is truncated or no zip file"),
    ("p.safetensors", b"a" * 100, "p.safetensors is truncated or no .safetensors file"),
)


@pytest.mark.parametrize(
    ("name", "content", "said", "command"),
    drawn([(*policy, command) for policy, command in product(NO_POLICIES, READING)], 3),
)
def test_what_is_no_policy_is_refused_without_torch(
    command: tuple[str, ...], name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    script = WITHOUT_TORCH.format(arguments=[*command, name])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6, done.stderr
    assert said in done.stderr
