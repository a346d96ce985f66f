"""What a finished sweep costs to resume and to report, without training anything.

    python benchmarks/resume.py                              # 2,000 runs: the quickstart with many seeds
    python benchmarks/resume.py --runs 10000 100000 --no-report
    python benchmarks/resume.py --runs 2000 --keep FOLDER    # leave the sweep there, for the command line

What a sweep does before it finds nothing to do. Plan: from suite to graph, with all ids. Matrix: the
manifest, and whether the folder holds the same one. Code: comparing what every run rests on with what is
here. Read: reading and checking every run. Report: everything that `rl-transfer report` does. All in seconds
of CPU; memory is the most that this process had when nothing was left to do. Another process writes the runs.
They are as small as those of the quickstart: 13 evaluations of 10 episodes, a record with its plan.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rl_transfer.report import write_report
from rl_transfer.results import PLAYED, RunStore, write_manifest
from rl_transfer.results.files import file_digest
from rl_transfer.results.seal import SCHEMA, sealed
from rl_transfer.spec import RLSuite, load
from rl_transfer.sweep.graph import Graph, Row, build_graph, manifest
from rl_transfer.sweep.local import LocalExecutor
from rl_transfer.sweep.matrix import check_matrix
from rl_transfer.sweep.reuse import DIFFERENCES, refuse_other_code
from rl_transfer.sweep.scheduler import run_graph

PER_SEED = 13
"""Runs of the quickstart for each seed; three more play at random."""
EPISODES = 10
STEPS = ("plan", "matrix", "code", "read")
"""What a sweep does before it finds nothing to do."""
UNIT = 2**20 if sys.platform == "darwin" else 2**10
"""Of memory: macOS counts bytes, Linux KiB."""


def suite_of(runs: int) -> RLSuite:
    """The quickstart with so many seeds that it has about so many runs."""
    return load("quickstart", {"rl": RLSuite}, "suites", [f"seeds={max(1, runs // PER_SEED)}"]).config


def write_sweep(runs: int, root: Path) -> None:
    """Write a finished sweep of about so many runs; nothing waits for the disk."""
    suite = suite_of(runs)
    graph, store = build_graph(suite), RunStore(root).open()
    write_manifest(root, manifest(suite, graph, PLAYED, {}))
    rng = np.random.default_rng(0)
    rows = {row.id: row for row in graph.rows}
    for identifier, row in rows.items():
        write_run(store.folder(identifier).path, graph, row, rng)


def write_run(folder: Path, graph: Graph, row: Row, rng: np.random.Generator) -> None:
    """One finished run, its returns drawn by lot."""
    spec = graph.specs[row.id]
    folder.mkdir(parents=True)
    total = spec.total_steps
    steps = range(0, total + 1, spec.plain()["evaluation"]["every"]) if total else [0]
    height = 500 if row.role == "source" else int(rng.integers(100, 480))
    lines = [
        json.dumps(
            {
                "evaluation": k,
                "step": step,
                "returns": rng.integers(20, 21 + height * (k + 1) // len(steps), EPISODES).tolist(),
                "lengths": [100] * EPISODES,
            }
        )
        for k, step in enumerate(steps)
    ]
    (folder / "curve.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "spec.json").write_text(json.dumps(spec.plain(), indent=2), encoding="utf-8")
    scores = rng.integers(10, 500, EPISODES).tolist()
    fed = row.needs[0] if row.needs else None
    tensors = [f"{part}.{k}" for part in ("policy_net", "value_net", "action_net") for k in range(4)]
    record = {
        "schema": SCHEMA,
        "id": row.id,
        "kind": spec.kind,
        "spec": spec.plain(),
        "total_steps": total,
        "versions": {"python": "3.11.0", "torch": "2.13.0"},
        "wall_seconds": 4.2,
        "cpu_seconds": 4.1,
        "source_run": fed,
        "source_steps": 51200 if fed else None,
        "source_score": 500.0 if fed else None,
        "zero_shot": {"returns": scores} if fed else None,
        "retention": {"returns": scores, "source_returns": scores} if fed else None,
        "parameters": {"total": 9155, "trainable": 9155},
        "frozen": None,
        "plan": [
            {"part": "trunk", "tensor": name, "shape": [64, 64], "action": "copied"} for name in tensors
        ],
        "files": {name: file_digest(folder / name) for name in ("spec.json", "curve.jsonl")},
        "sync_seconds": 0.0,
    }
    (folder / "record.json").write_text(json.dumps(sealed(record), indent=2), encoding="utf-8")


def resume(runs: int, root: Path) -> tuple[int, dict[str, float]]:
    """Do what a sweep does until nothing is left to do.

    Returns:
        Number of runs; CPU seconds of each step.
    """
    suite, store = suite_of(runs), RunStore(root)
    moments = [time.process_time()]
    graph = build_graph(suite)
    moments.append(time.process_time())
    check_matrix(root, manifest(suite, graph, PLAYED, {}), graph.specs)
    moments.append(time.process_time())
    refuse_other_code(graph.specs, store, DIFFERENCES)
    moments.append(time.process_time())
    with contextlib.closing(LocalExecutor(1, 1)) as executor:
        run_graph(graph, store, executor, lambda state, events: None)
    moments.append(time.process_time())
    seconds = (after - before for before, after in itertools.pairwise(moments))
    return len(graph.specs), dict(zip(STEPS, seconds, strict=True))


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[2_000])
    parser.add_argument("--no-report", action="store_true", help="time resuming alone")
    parser.add_argument("--keep", type=Path, help="a new folder for the sweep of the first size")
    arguments = parser.parse_args()
    print(f"{'':>8} {'memory':>8}" + "".join(f" {each:>8}" for each in (*STEPS, "report")))
    print(f"{'runs':>8} {'(MB)':>8}" + f" {'(s)':>8}" * (len(STEPS) + 1))
    for number, runs in enumerate(arguments.runs):
        kept = arguments.keep is not None and number == 0
        place = contextlib.nullcontext(str(arguments.keep)) if kept else tempfile.TemporaryDirectory()
        with place as root:
            writer = multiprocessing.get_context("spawn").Process(target=write_sweep, args=(runs, Path(root)))
            writer.start()
            writer.join()
            if writer.exitcode:
                raise SystemExit("no sweep was written")
            count, seconds = resume(runs, Path(root))
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT
            resumed = time.process_time()
            if not arguments.no_report:
                write_report(root)
            reported = time.process_time()
        report = "-" if arguments.no_report else f"{reported - resumed:.2f}"
        steps = "".join(f" {each:>8.2f}" for each in seconds.values())
        print(f"{count:>8,} {memory:>8,.0f}{steps} {report:>8}", flush=True)


if __name__ == "__main__":
    main()
