"""Drawing: labels and maps over images, and the figures of the papers.

Every figure takes models, asks their heads for what they can show, and knows no method by name.
"""

from .attention_figure import attention_figure
from .choice import image_names, images_named, images_with, images_with_unseen
from .consensus_figure import consensus_figure
from .dataset_sheet import TITLES, dataset_row
from .method import Method
from .overlay import draw_heat_map, draw_labels, hatch
from .prediction_figure import prediction_figure
from .prediction_sheet import prediction_sheet
from .prediction_sheet_hook import PredictionSheetHook
from .sheet import make_sheet
from .trust_figure import trust_figure

__all__ = [
    "TITLES",
    "Method",
    "PredictionSheetHook",
    "attention_figure",
    "consensus_figure",
    "dataset_row",
    "draw_heat_map",
    "draw_labels",
    "hatch",
    "image_names",
    "images_named",
    "images_with",
    "images_with_unseen",
    "make_sheet",
    "prediction_figure",
    "prediction_sheet",
    "trust_figure",
]
