"""Labelled images: data sets, splits, augmentation and batches."""

from rl_transfer.image.data.sets import ImageSet, OpenedData, open_data
from rl_transfer.supervised.splits import Splits, split_data

__all__ = ["ImageSet", "OpenedData", "Splits", "open_data", "split_data"]
