"""TagCLIP: the trusty token, its learner, its head and how its map weights the classes."""

import zegclip  # noqa: F401  (first: prepares the stack and registers what is shared)

from . import analyses, figures  # noqa: F401  (register the method's analyses and figures)
from .trusty_head import TrustyHead
from .trusty_learner import TrustyLearner
from .trusty_weighting import weight_by_trust

__all__ = ["TrustyHead", "TrustyLearner", "weight_by_trust"]
