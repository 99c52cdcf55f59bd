"""Drawing: labels and maps over images, and sheets of them."""

from .dataset_sheet import TITLES, dataset_row
from .overlay import draw_heat_map, draw_labels, hatch
from .prediction_sheet import images_with_unseen, prediction_sheet
from .sheet import make_sheet

__all__ = [
    "TITLES",
    "dataset_row",
    "draw_heat_map",
    "draw_labels",
    "hatch",
    "images_with_unseen",
    "make_sheet",
    "prediction_sheet",
]
