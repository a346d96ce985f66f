"""Where source policies come from: our bundles and foreign files, read as tensors and plain data."""
