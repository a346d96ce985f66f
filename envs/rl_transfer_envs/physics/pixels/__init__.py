"""PixelCatch, this package's own environment seen as images."""
