"""CLIP: towers and weights, the image encoder with prompts, class embeddings."""

from .image_encoder import PromptedImageEncoder
from .templates import TEMPLATES, find_templates
from .text_embeddings import TextEncoder
from .text_tower import TextTower
from .towers import LoadedClip, check_clip, load_clip

__all__ = [
    "TEMPLATES",
    "LoadedClip",
    "PromptedImageEncoder",
    "TextEncoder",
    "TextTower",
    "check_clip",
    "find_templates",
    "load_clip",
]
