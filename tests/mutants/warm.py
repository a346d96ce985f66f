"""Many changes in one warm process: package and tests are imported once, each change is one fork of it.

Only functions change here: a live function gets the code object that the changed module would have given it.
What runs at import (tables, defaults, decorators, class bodies) needs a process of its own (``process.run``).
"""

from __future__ import annotations

import ast
import gc
import os
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import NoReturn, get_args

import pytest

from mutants.process import FAILED_TO_START, QUIET, ROOT, Outcome, run, silence, wait

Place = tuple[str, int]
"""Qualified name and first line of a code object."""


@dataclass(frozen=True)
class Task:
    """One change and the tests that it must fail."""

    path: str
    tree: ast.Module
    tests: Sequence[str]
    limit: float
    """Seconds after which its tests are stopped."""


def changed_functions(path: str, before: str, after: ast.Module) -> dict[Place, CodeType] | None:
    """The functions that a change of a module gives other code; None if it changes what runs at import.

    Args:
        path: the module's file, from the repository root.
        before: its text.
        after: its changed tree.
    """
    file = str(ROOT / path)
    old, new = (dict(_outermost(compile(each, file, "exec"))) for each in (before, after))
    if old.keys() != new.keys():
        return None
    changed = {place: code for place, code in new.items() if code != old[place]}
    return changed if all(map(_is_function, changed.values())) else None


def _outermost(code: CodeType) -> Iterator[tuple[Place, CodeType]]:
    """A module's own code and that of class bodies, each without what it defines; and whole functions."""
    nested = [const for const in code.co_consts if isinstance(const, CodeType)]
    doubled = Counter((const.co_qualname, const.co_firstlineno) for const in nested)
    kept: list[object] = []
    for const in code.co_consts:
        if not isinstance(const, CodeType) or doubled[const.co_qualname, const.co_firstlineno] > 1:
            kept.append(const)
        elif _is_function(const):
            yield (const.co_qualname, const.co_firstlineno), const
        else:
            yield from _outermost(const)
    yield (code.co_qualname, code.co_firstlineno), code.replace(co_consts=tuple(kept))


def _of(test: str, items: Mapping[str, pytest.Item]) -> list[pytest.Item]:
    """The item of this node id; else every case of the test, or every test of the file."""
    if test in items:
        return [items[test]]
    return [item for name, item in items.items() if name.startswith((f"{test}[", f"{test}::"))]


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x0002)  # CO_NEWLOCALS: neither a module nor a class body


class Loop:
    """A pytest plugin that judges changes in forks of the process that has collected the tests."""

    def __init__(self, tasks: Sequence[Task], told: Callable[[int, Outcome | None], None]) -> None:
        self._tasks, self._told = tasks, told
        self._live: dict[str, dict[Place, list[FunctionType]]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise RuntimeError("the tests cannot be collected")
        items = {item.nodeid: item for item in session.items}
        paths = {str(ROOT / task.path): task.path for task in self._tasks}
        self._live = {path: defaultdict(list) for path in paths.values()}
        for each in gc.get_objects():
            if type(each) is FunctionType and each.__code__.co_filename in paths:
                code = each.__code__
                found = self._live[paths[code.co_filename]]
                found[code.co_qualname, code.co_firstlineno].append(each)
        gc.freeze()
        for index, task in enumerate(self._tasks):
            changed = changed_functions(task.path, (ROOT / task.path).read_text(encoding="utf-8"), task.tree)
            chosen = [item for test in task.tests for item in _of(test, items)]
            if changed is None or not all(self._live[task.path][place] for place in changed) or not chosen:
                self._told(index, None)
                continue
            child = os.fork()
            if child == 0:
                os._exit(self._child(session, chosen, self._live[task.path], changed))
            ended = wait(child, task.limit)
            outcome: Outcome = "timeout" if ended is None else "survived" if ended == 0 else "killed"
            self._told(index, None if ended == FAILED_TO_START else outcome)
        return True

    @staticmethod
    def _child(
        session: pytest.Session,
        items: Sequence[pytest.Item],
        live: Mapping[Place, Sequence[FunctionType]],
        changed: Mapping[Place, CodeType],
    ) -> int:
        os.setsid()
        code = FAILED_TO_START
        try:
            silence()
            for place, other in changed.items():
                for function in live[place]:
                    function.__code__ = other
            code = 1
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    os._exit(1)
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)


def judge(tests: str, tasks: Sequence[Task], jobs: int = 1) -> Iterator[tuple[int, Outcome | None]]:
    """Judge changes inside functions side by side; outcomes come as they are found.

    Args:
        tests: paths of the tests, separated by spaces; all that any task names lie under them.
        tasks: the changes.
        jobs: how many processes share them.

    Yields:
        Index of a task and its outcome; None where a change must be judged in a process of its own.
    """

    def host(indices: Sequence[int], tell: Tell) -> None:
        silence()
        loop = Loop([tasks[each] for each in indices], lambda index, outcome: tell(indices[index], outcome))
        pytest.main([*QUIET, f"--rootdir={ROOT}", *tests.split()], plugins=[loop])

    return _shared(host, len(tasks), jobs)


def judge_apart(tasks: Sequence[Task], jobs: int = 1) -> Iterator[tuple[int, Outcome | None]]:
    """Judge changes of any kind side by side, each in a process that imports everything anew.

    Args:
        tasks: the changes.
        jobs: how many at a time.

    Yields:
        Index of a task and its outcome.
    """

    def host(indices: Sequence[int], tell: Tell) -> None:
        for index in indices:
            task = tasks[index]
            tell(index, run(task.tests, task.limit, (task.path, task.tree)))

    return _shared(host, len(tasks), jobs)


Tell = Callable[[int, Outcome | None], None]


def _shared(
    host: Callable[[Sequence[int], Tell], None], count: int, jobs: int
) -> Iterator[tuple[int, Outcome | None]]:
    """What the hosts tell, each in a fork of this process with its share of the indices."""
    reading, writing = os.pipe()
    children = []
    for job in range(jobs):
        child = os.fork()
        if child == 0:
            os.close(reading)
            _serve(host, range(job, count, jobs), writing)
        children.append(child)
    os.close(writing)
    left = set(range(count))
    with os.fdopen(reading, encoding="utf-8") as lines:
        for line in lines:
            number, _, name = line.strip().partition(" ")
            left.discard(int(number))
            yield int(number), next((each for each in get_args(Outcome) if each == name), None)
    for child in children:
        os.waitpid(child, 0)
    for index in sorted(left):  # of a host that could not start
        yield index, None


def _serve(host: Callable[[Sequence[int], Tell], None], share: Sequence[int], writing: int) -> NoReturn:
    try:
        host(share, lambda index, outcome: _tell(writing, f"{index} {outcome}\n"))
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(0)


def _tell(writing: int, line: str) -> None:
    os.write(writing, line.encode())
