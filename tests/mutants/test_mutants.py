"""The runner itself, and the changes of the code that once slipped through."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mutants.__main__ import again, locate, modules
from mutants.operators import Mutant, mutants, mutated
from mutants.process import ROOT, module_name
from mutants.reach import IMPORT, Reach
from mutants.rows import NAMED, Named
from mutants.warm import changed_functions


def in_a_process_of_its_own(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Python without anything of the package imported yet, in which a fork can change it."""
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("", "envs", "tests"))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def changes(source: str) -> set[str]:
    return {mutant.change for mutant in mutants("m.py", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"a < b → a <= b"}),
        ("x = 0 <= b < c", {"0 <= b < c → 0 < b < c", "0 <= b < c → 0 <= b <= c", "0 → 1"}),
        ("x = a + b", {"a + b → a - b"}),
        ("x = 'a' + b", set()),
        ("x = a and b", {"a and b → a or b"}),
        ("x = not a", {"not a → a"}),
        ("x = -a", {"-a → a"}),
        ("x = 3", {"3 → 4", "3 → 0"}),
        ("x = 0.0", {"0.0 → 1.0"}),
        ("x = True", {"True → False"}),
        ("x = max(a)", {"max(a) → min(a)"}),
        ("x = n.minimum(a, b)", {"n.minimum(a, b) → n.maximum(a, b)"}),
        ("x = sorted(a, key=b)", {"sorted(a, key=b) → list(a)"}),
        ("x = abs(a)", {"abs(a) → a"}),
        ("x = a.detach()", {"a.detach() → a"}),
        ("x = f(a, b)", {"f(a, b) → f(b, a)"}),
        ("f(a)", {"f(a) → pass"}),
        ("a.b = c", {"a.b = c → pass"}),
        ("a += b", {"a += b → a -= b", "a += b → pass"}),
        ("x = a if b else c", {"a if b else c → a if not b else c"}),
        ("x = [a for a in b if a]", {"for … if a → for …"}),
        ("def f():\n    return a", {"return a → return None"}),
        ("def f():\n    return None", set()),
        ("if a:\n    pass", {"if a: → if not a:"}),
        ("raise E('a' + str(1))", {"raise E('a' + str(1)) → pass"}),
        ("import a\nx: int | None = None\ndef f(a: b | c) -> d | e: ...\nX = a | b\n__all__ = [1]", set()),
        ("if TYPE_CHECKING:\n    f(1)", set()),
    ],
)  # fmt: skip
def test_every_operator_makes_its_change(source: str, expected: set[str]) -> None:
    assert changes(source) == expected


def test_every_mutant_of_the_targets_compiles_and_differs_in_one_place() -> None:
    path = "rl_transfer/core/digest.py"
    source = (ROOT / path).read_text(encoding="utf-8")
    before = ast.unparse(ast.parse(source)).splitlines()
    for mutant in mutants(path, source):
        tree = mutated(mutant, source)
        compile(tree, path, "exec")
        assert ast.unparse(tree).splitlines() != before, mutant.change


def test_the_same_module_has_the_same_mutants() -> None:
    source = "def f(a, b):\n    return max(a, b + 1)\n"
    assert mutants("m.py", source) == mutants("m.py", source)
    assert len({(mutant.place, mutant.variant) for mutant in mutants("m.py", source)}) == len(changes(source))


def test_a_mutant_meets_the_tests_that_run_its_line_the_modules_own_first() -> None:
    reach = Reach(
        {"room/plan.py": {3: ["t/test_b.py::b"], 4: ["t/test_plan.py::a", "t/test_b.py::b"], 1: [IMPORT]}},
        {"t/test_b.py::b": 1.0, "t/test_plan.py::a": 5.0},
    )

    def tests(line: int, budget: float = 20) -> list[str]:
        return reach.tests_of(Mutant("room/plan.py", 0, 0, line, (line,), ""), budget)[0]

    assert tests(3) == ["t/test_b.py::b"]
    assert tests(4) == ["t/test_plan.py::a", "t/test_b.py::b"]
    assert tests(4, budget=5.5) == ["t/test_plan.py::a"]
    assert tests(1) == ["t/test_plan.py::a", "t/test_b.py::b"], "what runs at import concerns every test"
    assert tests(2) == []


def test_rooms_have_modules_and_each_stands_in_one() -> None:
    drawn_from = [path for paths in modules().values() for path in paths]
    assert all(modules().values())
    assert len(drawn_from) == len(set(drawn_from))
    assert module_name("envs/rl_transfer_envs/values/__init__.py") == "rl_transfer_envs.values"


def test_a_kept_mutant_is_found_again_when_lines_have_moved() -> None:
    row = {"path": "m.py", "line": 2, "change": "a + b → a - b", "number": 1}
    moved = mutants("m.py", "\n\n\nx = a + b\ny = a + b\n")
    found = [again({**row, "number": number}, moved) for number in (0, 1)]
    assert sorted(mutant.line for mutant in found if mutant is not None) == [4, 5]
    assert again({**row, "number": 2}, moved) is None


def test_a_row_whose_text_is_gone_says_what_to_do() -> None:
    with pytest.raises(LookupError, match=r"give the row in .* the new text of the same change"):
        locate(Named("lost", "text that stands nowhere", "", ()))


def test_every_change_that_has_a_name_can_be_made() -> None:
    assert all(locate(row) for row in NAMED)


@pytest.mark.full
def test_what_once_slipped_through_is_noticed() -> None:
    """Three changes of ``rows.NAMED`` fail their tests, which pass without; ``make mutants NAMED=1``: all."""
    done = in_a_process_of_its_own("-m", "mutants", "--named", "--sample", "3", "--seed", "9")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("killed") == 3


@pytest.mark.full
def test_a_child_tells_passed_failed_late_and_unknown_apart(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_passes(): pass\ndef test_fails(): assert 0\ndef test_hangs(): time.sleep(60)\n"
    )
    script.write_text(
        "from mutants.process import run\n"
        f"where = {str(tmp_path / 'test_it.py')!r}\n"
        "for name, limit in (('passes', 120), ('fails', 120), ('hangs', 10), ('unknown', 120)):\n"
        "    print(run([f'{where}::test_{name}'], limit))\n"
    )
    done = in_a_process_of_its_own(str(script))
    assert done.stdout.split() == ["survived", "killed", "timeout", "broken"], done.stderr


def test_a_change_inside_functions_is_told_from_one_that_runs_at_import() -> None:
    path = "rl_transfer/core/limits.py"
    before = (
        "LIMIT = 3\ndef f(a, b=2):\n    return [each + a for each in b]\n"
        "class C:\n    x = 1\n    def g(self):\n        return 1\n"
    )

    def places(old: str, new: str) -> set[str] | None:
        changed = changed_functions(path, before, ast.parse(before.replace(old, new)))
        return None if changed is None else {name for name, _ in changed}

    assert places("each + a", "each - a") == {"f"}
    assert places("return 1", "return 2") == {"C.g"}
    assert places("LIMIT = 3", "LIMIT = 4") is None
    assert places("b=2", "b=3") is None, "a default is made when the module is imported"
    assert places("x = 1", "x = 2") is None


@pytest.mark.full
def test_a_warm_process_judges_as_one_of_its_own_does(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import ast\n"
        "from mutants.process import ROOT, prepare\n"
        "from mutants.warm import Task, judge, judge_apart\n"
        "prepare()\n"
        "path = 'rl_transfer/wording.py'\n"
        "name = 'test_an_error_without_a_users_line_names_the_last_one_it_has_or_none'\n"
        "text = (ROOT / path).read_text(encoding='utf-8')\n"
        "def task(old, new, test=name):\n"
        "    assert text.count(old) == 1, old\n"
        "    tree = ast.parse(text.replace(old, new))\n"
        "    return Task(path, tree, [f'tests/test_wording.py::{test}'], 300)\n"
        "old, new = '    by_folded = {', '    return None; by_folded = {'\n"
        "tasks = [\n"
        "    task(old, new, 'test_environments_hint_alike'),\n"
        "    task(old, new),\n"
        "    task('_SHOWN = 8', '_SHOWN = 9'),\n"
        "    task(old, new, 'test_of_no_such_name'),\n"
        "]\n"
        "print(*(outcome for _, outcome in sorted(judge('tests/test_wording.py', tasks, 2))))\n"
        "print(*(outcome for _, outcome in sorted(judge_apart(tasks, 2))))\n"
    )
    done = in_a_process_of_its_own(str(script))
    assert done.stdout.splitlines() == [
        "killed survived None None", "killed survived survived killed",
    ], done.stdout + done.stderr  # fmt: skip
