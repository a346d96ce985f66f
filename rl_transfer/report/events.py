"""Event files of a report: written under a name of their own, and removed by it."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.summary.writer.event_file_writer import EventFileWriter

_SUFFIX = ".report"
_OURS = (f"*/*{_SUFFIX}", f"*/*/mean/*{_SUFFIX}", "overview/events.out.*", "*/*/mean/events.out.*")
"""Event files of this report, and where the first reports wrote theirs."""


class ReportEvents:
    """Writes one TensorBoard run. torch has such a writer; importing torch takes longer than most reports.

    Args:
        file: TensorBoard's writer of single events.
    """

    def __init__(self, file: EventFileWriter) -> None:
        self._file = file

    def add(self, summary: Summary, step: int = 0) -> None:
        """Add what a plugin reads.

        Args:
            summary: any number of tags with a value each.
            step: where it stands on the horizontal axis.
        """
        self._file.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of some curves.

        Args:
            step: where it stands on the horizontal axis.
            values: tag → height.
        """
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self.add(Summary(value=points), step)

    def picture(self, tag: str, png: bytes) -> None:
        """Add a picture.

        Args:
            tag: what it is called.
            png: the bytes of a PNG file.
        """
        width, height = struct.unpack(">II", png[16:24])
        image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        self.add(Summary(value=[Summary.Value(tag=tag, image=image)]))

    def text(self, tag: str, markdown: str) -> None:
        """Add a text.

        Args:
            tag: what it is called.
            markdown: the text.
        """
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        self._tensor(f"{tag}/text_summary", "text", markdown.encode(), shape)

    def layout(self, layout: Layout) -> None:
        """Say which charts the tab *Custom scalars* has.

        Args:
            layout: categories and their charts.
        """
        tag = "custom_scalars__config__"
        self._tensor(tag, "custom_scalars", layout.SerializeToString(), TensorShapeProto())

    def _tensor(self, tag: str, plugin: str, content: bytes, shape: TensorShapeProto) -> None:
        tensor = TensorProto(dtype=DT_STRING, string_val=[content], tensor_shape=shape)
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
        self.add(Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)]))


@contextmanager
def writing(folder: Path) -> Iterator[ReportEvents]:
    """A writer of one TensorBoard run, closed at the end.

    Args:
        folder: the run's; made where it does not exist.

    Yields:
        The writer.
    """
    file = EventFileWriter(str(folder), filename_suffix=_SUFFIX)
    try:
        yield ReportEvents(file)
    finally:
        file.close()


def remove_own(folder: Path) -> None:
    """Remove what reports wrote below ``folder``, links to runs, and folders left empty; nothing else.

    Args:
        folder: a sweep's ``tensorboard`` or ``tensorboard-seeds``; need not exist.
    """
    links = [path for path in folder.glob("*/*/seed-*") if path.is_symlink()]
    files = {path for pattern in _OURS for path in folder.glob(pattern) if path.is_file()}
    for path in [*links, *files]:
        path.unlink()
    for depth in ("*/*/*", "*/*", "*"):
        for path in folder.glob(depth):
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
