"""Drawing: labels and maps over images, and the figures of the papers.

A figure takes models and asks their heads for what they can show. Those that one method alone has
are in that method's package.
"""

from .attention_maps import attention_maps, attention_of_windows
from .choice import image_names, images_named, images_with
from .dataset_sheet import dataset_row, dataset_sheet
from .figures import BARE_NOTE, FIGURES, register_figure, scaled
from .fonts import find_font
from .method import Method, Scene, extra_maps, predicted_labels, single_maps
from .overlay import draw_heat_map, draw_labels
from .prediction_sheet_hook import PredictionSheetHook
from .sheet import Panel, figure_pixels, make_sheet

__all__ = [
    "BARE_NOTE",
    "FIGURES",
    "Method",
    "Panel",
    "PredictionSheetHook",
    "Scene",
    "attention_maps",
    "attention_of_windows",
    "dataset_row",
    "dataset_sheet",
    "draw_heat_map",
    "draw_labels",
    "extra_maps",
    "figure_pixels",
    "find_font",
    "image_names",
    "images_named",
    "images_with",
    "make_sheet",
    "predicted_labels",
    "register_figure",
    "scaled",
    "single_maps",
]
