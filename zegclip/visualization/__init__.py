"""Drawing: labels and maps over images, and sheets of them."""

from .overlay import draw_heat_map, draw_labels
from .sheet import make_sheet

__all__ = ["draw_heat_map", "draw_labels", "make_sheet"]
