"""Zero-shot semantic segmentation with CLIP: the baseline, and what all methods share."""

from . import compat  # noqa: F401  (first, always: without it mmseg does not import)

__version__ = "0.1.0"
