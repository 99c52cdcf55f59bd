"""What runs around the model: hooks, mixed precision, and the checks before work starts."""

from .amp_optim_wrapper import AmpOptimWrapper
from .batch_size_hook import BatchSizeHook
from .checkpoint_hooks import HalfwayCheckpointHook, PlainCheckpointHook
from .pseudo_label_hook import PseudoLabelHook
from .vocabulary_hook import VocabularyHook, check_not_trained

__all__ = [
    "AmpOptimWrapper",
    "BatchSizeHook",
    "HalfwayCheckpointHook",
    "PlainCheckpointHook",
    "PseudoLabelHook",
    "VocabularyHook",
    "check_not_trained",
]
