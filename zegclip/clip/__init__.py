"""CLIP: loading, the image encoders, class embeddings."""

from .block import run_block
from .image_encoder import PromptedImageEncoder
from .loading import LoadedClip, check_clip, is_downloaded, load_clip
from .templates import TEMPLATES, find_templates
from .text_encoder import TextEncoder
from .text_tower import TextTower
from .training_free_encoder import LAST_BLOCKS, TrainingFreeImageEncoder

__all__ = [
    "LAST_BLOCKS",
    "TEMPLATES",
    "LoadedClip",
    "PromptedImageEncoder",
    "TextEncoder",
    "TextTower",
    "TrainingFreeImageEncoder",
    "check_clip",
    "find_templates",
    "is_downloaded",
    "load_clip",
    "run_block",
]
