"""The run record and the run store on disk."""

from rl_transfer.results.files import make_folder, read_json, write_json, write_text
from rl_transfer.results.find import find_run, run_of_bundle
from rl_transfer.results.labels import ACCURACY_DIGITS, PLAYED, Labels, read_labels
from rl_transfer.results.manifest import read_manifest, write_manifest
from rl_transfer.results.reading import RunReading, read_record
from rl_transfer.results.store import CHECKPOINTS, ID_SCHEMA, INCOMING, RunFolder, RunStore, run_id
from rl_transfer.results.tolerance import TOLERANCES, declared_tolerances, keep_tolerances
from rl_transfer.results.versions import library_versions
from rl_transfer.results.view import SEEDS, arm_place, link_events

__all__ = [
    "ACCURACY_DIGITS",
    "CHECKPOINTS",
    "ID_SCHEMA",
    "INCOMING",
    "PLAYED",
    "SEEDS",
    "TOLERANCES",
    "Labels",
    "RunFolder",
    "RunReading",
    "RunStore",
    "arm_place",
    "declared_tolerances",
    "find_run",
    "keep_tolerances",
    "library_versions",
    "link_events",
    "make_folder",
    "read_json",
    "read_labels",
    "read_manifest",
    "read_record",
    "run_id",
    "run_of_bundle",
    "write_json",
    "write_manifest",
    "write_text",
]
