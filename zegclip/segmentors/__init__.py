"""The segmentor that all methods share."""

from .learned_state import ClipMismatchError, StateMismatchError
from .query_labels import LabelLeakError
from .zero_shot_segmentor import ZeroShotSegmentor

__all__ = ["ClipMismatchError", "LabelLeakError", "StateMismatchError", "ZeroShotSegmentor"]
