"""The run record and the run store on disk."""

from rl_transfer.results.files import make_folder, read_json, write_json, write_text
from rl_transfer.results.labels import ACCURACY_DIGITS, PLAYED, Labels, read_labels
from rl_transfer.results.store import SCHEMA, RunFolder, RunStore, find_run, run_id
from rl_transfer.results.versions import library_versions
from rl_transfer.results.view import SEEDS, arm_place, link_events

__all__ = [
    "ACCURACY_DIGITS",
    "PLAYED",
    "SCHEMA",
    "SEEDS",
    "Labels",
    "RunFolder",
    "RunStore",
    "arm_place",
    "find_run",
    "library_versions",
    "link_events",
    "make_folder",
    "read_json",
    "read_labels",
    "run_id",
    "write_json",
    "write_text",
]
