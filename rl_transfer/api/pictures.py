"""A figure as notebooks show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rl_transfer.api.given import check_path
from rl_transfer.errors import StoreError


@dataclass(frozen=True)
class Picture:
    """A figure of a report; a notebook shows it.

    Attributes:
        name: as its file is called in the report, ``heatmap``.
        png: the file's bytes.
    """

    name: str
    png: bytes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write it to a file.

        Args:
            path: of a PNG file; its folder must exist.

        Returns:
            The same path.

        Raises:
            StoreError: it cannot be written.
            ConfigError: it is no path.
        """
        check_path("path", path, needed=True)
        try:
            Path(path).write_bytes(self.png)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self.png
