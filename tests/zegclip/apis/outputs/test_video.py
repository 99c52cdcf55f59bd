"""Videos come back as they were written, upright; what is none is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from zegclip.apis.outputs import VideoReader, video_writer
from zegclip.errors import InputError

av = pytest.importorskip("av")


@pytest.fixture
def frames() -> list[np.ndarray]:
    """Red on the left, and blue on the right that moves; sides are odd."""
    pictures = [np.full((65, 97, 3), (200, 0, 0), np.uint8) for _ in range(4)]
    for index, picture in enumerate(pictures):
        picture[:, 50 + 8 * index :] = (0, 0, 200)
    return pictures


@pytest.fixture
def video(frames: list[np.ndarray], tmp_path: Path) -> Path:
    with video_writer(tmp_path / "clip.mp4", Fraction(30000, 1001)) as add:
        for frame in frames:
            add(frame)
    return tmp_path / "clip.mp4"


def test_frames_come_back(frames: list[np.ndarray], video: Path) -> None:
    reader = VideoReader(video)
    assert reader.rate == Fraction(30000, 1001)
    for number, ((found, time), frame) in enumerate(zip(reader, frames, strict=True)):
        assert time == number / reader.rate
        assert found.shape == (66, 98, 3)
        difference = np.abs(found[:65, :97].astype(int) - frame)
        assert np.median(difference) < 6 and (difference > 40).mean() < 0.05
    assert len(list(reader)) == 4  # it may be read again


def test_every_frame_keeps_its_time(frames: list[np.ndarray], tmp_path: Path) -> None:
    """A phone that has little light takes fewer frames."""
    times = [Fraction(0), Fraction(1, 30), Fraction(3, 10), Fraction(7, 5)]
    with av.open(str(tmp_path / "phone.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=98, height=66)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 600)
        for time, frame in zip(times, frames, strict=True):
            frame = np.pad(frame, ((0, 1), (0, 1), (0, 0)))
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = int((time + 2) * 600), Fraction(1, 600)  # from 2 s on
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    reader = VideoReader(tmp_path / "phone.mkv")
    with video_writer(tmp_path / "clip.mp4", reader.rate) as add:
        for frame, time in reader:
            add(frame, time)
    found = [float(time) for _, time in VideoReader(tmp_path / "clip.mp4")]
    assert found == pytest.approx([float(time) for time in times], abs=1e-3)


def test_frames_of_an_avi_have_its_rate(frames: list[np.ndarray], tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.avi"), "w") as container:  # times of H.264 in it are wrong
        stream = container.add_stream("libx264", rate=10, width=98, height=66)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            frame = np.pad(frame, ((0, 1), (0, 1), (0, 0)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    times = [time for _, time in VideoReader(tmp_path / "clip.avi")]
    assert times == [Fraction(number, 10) for number in range(4)]


def test_a_phones_video_is_upright(frames: list[np.ndarray], tmp_path: Path) -> None:
    with video_writer(tmp_path / "clip.mp4", 25) as add:
        add(np.rot90(frames[0]))
    # The matrix that phones held upright write: to be shown turned a quarter to the right.
    content = bytearray((tmp_path / "clip.mp4").read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    values = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    content[matrix : matrix + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    (tmp_path / "turned.mp4").write_bytes(content)
    ((found, _),) = VideoReader(tmp_path / "turned.mp4")
    assert np.median(np.abs(found[:65, :97].astype(int) - frames[0])) < 6


def test_what_is_no_video_is_refused(video: Path, tmp_path: Path) -> None:
    content = video.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "none.mp4").write_bytes(b"no video")
    # By its content a playlist, which would open another file.
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(playlist)
    for name in ("cut", "none", "list", "absent"):
        with pytest.raises(InputError, match=rf"{name}\.mp4 cannot be read"):
            list(VideoReader(tmp_path / f"{name}.mp4"))
    with av.open(str(tmp_path / "bare.avi"), "w") as container:
        container.add_stream("libx264", rate=25, width=64, height=64)
        container.start_encoding()
    with pytest.raises(InputError, match=r"bare\.avi has no pictures"):
        list(VideoReader(tmp_path / "bare.avi"))


def test_half_a_video_is_not_kept(frames: list[np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), video_writer(tmp_path / "clip.mp4", 25) as add:
        add(frames[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
