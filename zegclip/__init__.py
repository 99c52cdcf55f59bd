"""Zero-shot semantic segmentation with CLIP: the baseline, and what all methods share.

Importing this package makes mmseg importable (:mod:`zegclip.compat`) and registers every module,
data set, transform, metric and hook of ours in mmseg's registries. Beside that only GOMP_SPINCOUNT
is set: what else a program needs, :func:`zegclip.compat.set_up` does.
"""

from . import compat
from .version import __version__

compat.import_mmseg()  # (first: without it mmseg does not import beside today's torch)

from . import (
    clip,
    datasets,
    engine,
    evaluation,
    heads,
    losses,
    segmentors,
    visualization,
)

__all__ = [
    "__version__",
    "clip",
    "compat",
    "datasets",
    "engine",
    "evaluation",
    "heads",
    "losses",
    "segmentors",
    "visualization",
]
