"""Where source policies come from: our bundles and foreign files, read as tensors and plain data."""

from rl_transfer.rl.sources.load import import_source, is_foreign, load_source

__all__ = ["import_source", "is_foreign", "load_source"]
