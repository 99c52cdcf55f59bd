"""The Python interface: photographs and words in, segmentations out."""

from zegclip.datasets import read_image

from .base import EncodedImage, Inferencer
from .inferencer import ZeroShotInferencer
from .onnx_inferencer import OnnxInferencer
from .result import SegmentationResult
from .words import make_vocabulary

# The names of the first release.
ZeroShotSegmenter = ZeroShotInferencer
OnnxSegmenter = OnnxInferencer

__all__ = [
    "EncodedImage",
    "Inferencer",
    "OnnxInferencer",
    "OnnxSegmenter",
    "SegmentationResult",
    "ZeroShotInferencer",
    "ZeroShotSegmenter",
    "make_vocabulary",
    "read_image",
]
