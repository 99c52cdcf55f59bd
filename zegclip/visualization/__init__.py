"""Drawing: labels and maps over images, and sheets of them."""

from .overlay import draw_heat_map, draw_labels
from .palette import make_palette
from .prediction_sheet import images_with_unseen, prediction_sheet
from .sheet import make_sheet

__all__ = [
    "draw_heat_map",
    "draw_labels",
    "images_with_unseen",
    "make_palette",
    "make_sheet",
    "prediction_sheet",
]
