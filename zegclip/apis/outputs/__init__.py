"""Segmentations as files that other programs read, and videos."""

from .coco import CocoFile
from .html_report import HtmlReport
from .labelme import write_labelme
from .output_folder import FORMATS, OutputFolder, write_index_png
from .video import VIDEOS, VideoReader, video_writer

__all__ = [
    "FORMATS",
    "VIDEOS",
    "CocoFile",
    "HtmlReport",
    "OutputFolder",
    "VideoReader",
    "video_writer",
    "write_index_png",
    "write_labelme",
]
