"""What runs around the model: hooks, mixed precision, resuming, checks before work starts."""

from .amp_optim_wrapper import AmpOptimWrapper
from .checkpoint_hooks import PlainCheckpointHook
from .finite_hook import FiniteHook
from .pseudo_label_hook import PseudoLabelHook
from .recipe_hook import RecipeHook
from .resume import ResumeHook
from .vocabulary_hook import VocabularyHook, check_test, trained_on

__all__ = [
    "AmpOptimWrapper",
    "FiniteHook",
    "PlainCheckpointHook",
    "PseudoLabelHook",
    "RecipeHook",
    "ResumeHook",
    "VocabularyHook",
    "check_test",
    "trained_on",
]
