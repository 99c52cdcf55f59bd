"""CLIP: loading, the image encoder with prompts, class embeddings."""

from .block import run_block
from .image_encoder import PromptedImageEncoder
from .loading import LoadedClip, check_clip, load_clip
from .templates import TEMPLATES, find_templates
from .text_encoder import TextEncoder
from .text_tower import TextTower

__all__ = [
    "TEMPLATES",
    "LoadedClip",
    "PromptedImageEncoder",
    "TextEncoder",
    "TextTower",
    "check_clip",
    "find_templates",
    "load_clip",
    "run_block",
]
