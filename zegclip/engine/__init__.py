"""What runs around the model: hooks, mixed precision, and the checks before work starts."""

from .amp_optim_wrapper import AmpOptimWrapper
from .batch_size import BatchSizeHook
from .halfway_checkpoint_hook import HalfwayCheckpointHook
from .plain_checkpoint_hook import PlainCheckpointHook
from .prediction_sheet_hook import PredictionSheetHook
from .preflight import preflight
from .pseudo_label_hook import PseudoLabelHook
from .vocabulary_hook import VocabularyHook

__all__ = [
    "AmpOptimWrapper",
    "BatchSizeHook",
    "HalfwayCheckpointHook",
    "PlainCheckpointHook",
    "PredictionSheetHook",
    "PseudoLabelHook",
    "VocabularyHook",
    "preflight",
]
