"""The Python interface: photographs and words in, segmentations out."""

from .images import read_image
from .onnx_segmenter import OnnxSegmenter
from .result import SegmentationResult
from .words import make_vocabulary
from .zero_shot_segmenter import EncodedImage, ZeroShotSegmenter

__all__ = [
    "EncodedImage",
    "OnnxSegmenter",
    "SegmentationResult",
    "ZeroShotSegmenter",
    "make_vocabulary",
    "read_image",
]
