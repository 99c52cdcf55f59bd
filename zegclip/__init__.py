"""Zero-shot semantic segmentation with CLIP: the baseline, and what all methods share.

Importing this package prepares the stack (:mod:`zegclip.compat`, before mmseg or open_clip is
imported) and registers every module, data set, transform, metric and hook of ours in mmseg's
registries.
"""

__version__ = "0.1.0"

from . import compat  # isort: skip  (first, always: without it mmseg does not import)
from . import clip, datasets, engine, evaluation, heads, losses, segmentors

__all__ = ["clip", "compat", "datasets", "engine", "evaluation", "heads", "losses", "segmentors"]
