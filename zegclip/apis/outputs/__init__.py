"""Segmentations as files that other programs read, and videos."""

from .output_folder import FORMATS, OutputFolder, save
from .video import VIDEOS, VideoReader, video_writer

__all__ = ["FORMATS", "VIDEOS", "OutputFolder", "VideoReader", "save", "video_writer"]
