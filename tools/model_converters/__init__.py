"""The published implementations of ZegCLIP and TagCLIP: their names and checkpoints."""

from .checkpoints import (
    Conversion,
    from_published,
    read_checkpoint,
    to_published,
    unused_parameters,
    unused_summary,
)
from .names import HEADS, METHODS, convert_names, our_name, published_name

__all__ = [
    "HEADS",
    "METHODS",
    "Conversion",
    "convert_names",
    "from_published",
    "our_name",
    "published_name",
    "read_checkpoint",
    "to_published",
    "unused_parameters",
    "unused_summary",
]
