"""Videos through PyAV: frames in, drawn frames out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from zegclip.errors import InputError
from zegclip.files import replacing

# With FFmpeg's name of each: by content it would also choose a playlist's reader, which follows
# what stands in the file to other files and addresses.
VIDEOS = {
    ".avi": "avi", ".m4v": "mov", ".mkv": "matroska", ".mov": "mov", ".mp4": "mov",
    ".webm": "matroska",
}  # fmt: skip
_TICKS = 90_000  # in a second: times are written in these, as in broadcasts


class VideoReader:
    """The frames of a video file, upright, and when each is shown.

    Args:
        path: of a file with one of the suffixes of ``VIDEOS``.

    Attributes:
        rate: frames in a second, on average.

    Raises:
        InputError: PyAV is not installed, or this is no video; while reading: it is broken, or has
            no frame.

    Example:
        >>> for frame, time in VideoReader("clip.mp4"):
        ...     segment(frame, ["cat"])
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._av = _import_av()
        with self._open() as container:
            self.rate: Fraction = container.streams.video[0].average_rate or Fraction(25)

    def __iter__(self) -> Iterator[tuple[np.ndarray, Fraction]]:
        """``(H, W, 3)`` uint8, RGB, of each frame, and its time in seconds from the first one."""
        untimed = self._path.suffix.lower() == ".avi"  # (its frames have the rate alone)
        start = None
        with self._open() as container:
            try:
                for number, frame in enumerate(container.decode(video=0)):
                    time = number / self.rate
                    if frame.pts is not None and not untimed:
                        time = frame.pts * frame.time_base
                    start = time if start is None else start
                    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                    yield np.ascontiguousarray(pixels), time - start
            except self._av.FFmpegError as error:
                raise InputError(f"{self._path} cannot be read to its end: {error}") from error
        if start is None:
            raise InputError(f"{self._path} has no pictures")

    def _open(self) -> Any:
        kind, only_files = VIDEOS.get(self._path.suffix.lower()), {"protocol_whitelist": "file"}
        try:
            # (Absolute, as FFmpeg takes what stands before a colon for a protocol.)
            path = os.path.abspath(self._path)
            container = self._av.open(path, format=kind, options=only_files)
        except self._av.FFmpegError as error:
            raise InputError(f"{self._path} cannot be read as a video: {error}") from error
        if not container.streams.video:
            raise InputError(f"{self._path} has no pictures")
        return container


@contextmanager
def video_writer(path: str | Path, rate: Fraction | int) -> Iterator[Callable[..., None]]:
    """Write an MP4 (H.264, which every player has), frame by frame.

    Args:
        path: the file; it is there once the block has ended without an error.
        rate: frames in a second, on average.

    Yields:
        What adds a frame ``(H, W, 3)`` uint8, RGB, as large as the first one, and takes the time in
        seconds when it is shown; default: by the rate.

    Example:
        >>> with video_writer("clip_classes.mp4", rate=25) as add:
        ...     add(np.asarray(result.draw(legend="all")))
    """
    av = _import_av()
    with replacing(path) as part, av.open(os.path.abspath(part), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        numbers, ticks = count(), -1  # of frames without a time, and the time of the frame before

        def add(frame: np.ndarray, time: Fraction | None = None) -> None:
            nonlocal ticks
            height, width = frame.shape[:2]  # made even, as the format needs them
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.time_base = stream.codec_context.time_base
            seconds = next(numbers) / rate if time is None else time
            picture.pts = ticks = max(ticks + 1, round(seconds * _TICKS))
            container.mux(stream.encode(picture))

        yield add
        container.mux(stream.encode())


def _import_av() -> Any:
    try:
        import av  # (an extra)
    except ImportError as error:
        raise InputError('videos are read by PyAV: pip install ".[video]"') from error
    return av
