"""What every kind of run shares: its stages, and the protocol of a room that executes runs.

The stages that need torch (``run``, ``initial``, ``freezing``) are imported by their modules, so that
a command line that only reads a config starts at once.
"""

from rl_transfer.frame.bundles import (
    ONLY_BUNDLES,
    bundle_folder,
    copy_bundle,
    run_identity,
    source_problem,
    write_finished,
)
from rl_transfer.frame.preflight import located
from rl_transfer.frame.room import (
    MEMORY,
    EvaluationRequest,
    Facts,
    FoundSource,
    InspectionHints,
    Measured,
    Room,
    Say,
    silent,
)

__all__ = [
    "MEMORY",
    "ONLY_BUNDLES",
    "EvaluationRequest",
    "Facts",
    "FoundSource",
    "InspectionHints",
    "Measured",
    "Room",
    "Say",
    "bundle_folder",
    "copy_bundle",
    "located",
    "run_identity",
    "silent",
    "source_problem",
    "write_finished",
]
