"""Files of other programs: what is written is read back to the same label map."""

from __future__ import annotations

import base64
import io
import json
import ntpath
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from zegclip.apis import SegmentationResult
from zegclip.apis.outputs import OutputFolder, output_folder
from zegclip.apis.outputs.labelme import polygons
from zegclip.datasets.rle import decode
from zegclip.errors import InputError

CLASSES = ("cat", "a <red> bus", "röd")


def result_of(labels: np.ndarray, classes: tuple[str, ...] = CLASSES) -> SegmentationResult:
    image = np.random.default_rng(0).integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    return SegmentationResult(image, labels, None, classes, unseen=classes[1:2], background=True)


@pytest.fixture
def labels() -> np.ndarray:
    """Rings in rings, a line, a single pixel, and something that is none of the classes."""
    label_map = np.zeros((90, 120), np.int64)
    cv2.circle(shapes := label_map.astype(np.uint8), (45, 45), 40, 1, -1)
    cv2.circle(shapes, (45, 45), 30, 255, -1)
    cv2.circle(shapes, (35, 40), 15, 1, -1)
    cv2.circle(shapes, (35, 40), 5, 0, -1)
    cv2.circle(shapes, (60, 60), 4, 2, -1)
    cv2.line(shapes, (90, 5), (118, 80), 2, 1)
    shapes[3, 3] = 2
    return shapes.astype(np.int64)


@pytest.mark.parametrize("drive", ["C", "D"])
def test_paths_of_images_have_slashes_on_windows_too(
    drive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COCO's and LabelMe's readers elsewhere take a backslash for a part of the name."""
    monkeypatch.setattr(output_folder, "os", SimpleNamespace(path=ntpath))
    monkeypatch.setattr(output_folder, "Path", PureWindowsPath)
    seen = output_folder._seen_from(
        PureWindowsPath(r"C:\out"), PureWindowsPath(rf"{drive}:\photos\a.jpg")
    )
    assert seen == {"C": "../photos/a.jpg", "D": "D:/photos/a.jpg"}[drive]


def test_index_png(labels: np.ndarray, tmp_path: Path) -> None:
    result = result_of(labels)
    result.save(tmp_path / "labels.png", "index")
    with Image.open(tmp_path / "labels.png") as image:
        assert image.mode == "P" and image.info["transparency"] == 255
        assert json.loads(image.text["classes"]) == list(CLASSES)
        assert np.array_equal(np.asarray(image), labels)
        colours = np.asarray(image.convert("RGBA"))
    assert tuple(colours[45, 80, :3]) == result.palette[1] and colours[45, 60, 3] == 0
    many = tuple(map(str, range(256)))
    with pytest.raises(InputError, match="holds 255 classes, and there are 256"):
        result_of(labels, many).save(tmp_path / "labels.png", "index")


def test_coco(labels: np.ndarray, tmp_path: Path) -> None:
    result_of(labels).save(tmp_path / "coco.json", "coco", name="photo.jpg")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["images"] == [dict(id=1, file_name="photo.jpg", height=90, width=120)]
    assert [each["name"] for each in content["categories"]] == list(CLASSES)
    assert [each["id"] for each in content["annotations"]] == [1, 2, 3]
    read = np.full_like(labels, 255)
    for each in content["annotations"]:
        mask = decode(each["segmentation"]["counts"], *each["segmentation"]["size"])
        read[mask] = each["category_id"] - 1
        left, top, width, height = each["bbox"]
        box = mask[top : top + height, left : left + width]
        assert box.sum() == mask.sum() == each["area"]
        assert box[0].any() and box[-1].any() and box[:, 0].any() and box[:, -1].any()
    assert np.array_equal(read, labels)


def drawn(points: list[list[float]], size: tuple[int, ...]) -> np.ndarray:
    """A polygon's mask, as LabelMe itself makes it."""
    mask = Image.new("1", size[::-1])
    assert len(points) > 2
    ImageDraw.Draw(mask).polygon([tuple(point) for point in points], outline=1, fill=1)
    return np.asarray(mask)


def test_labelme(labels: np.ndarray, tmp_path: Path) -> None:
    result = result_of(labels)
    result.save(tmp_path / "photo.json", "labelme")
    content = json.loads((tmp_path / "photo.json").read_text())
    assert (content["imageHeight"], content["imageWidth"]) == labels.shape
    embedded = Image.open(io.BytesIO(base64.b64decode(content["imageData"])))
    assert np.array_equal(np.asarray(embedded), result.image)
    read = np.full_like(labels, 255)
    for shape in content["shapes"]:
        read[drawn(shape["points"], labels.shape)] = CLASSES.index(shape["label"])
    assert np.array_equal(read, labels)
    groups = [shape["group_id"] for shape in content["shapes"] if shape["label"] == CLASSES[1]]
    assert len(set(groups)) == 2 and None not in groups  # two rings, each cut through its hole


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_polygons_of_any_mask_have_its_pieces_and_holes(share: float) -> None:
    mask = np.random.default_rng(0).random((40, 50)) < share
    pieces = list(polygons(mask))
    assert len(pieces) == cv2.connectedComponents(mask.astype(np.uint8))[0] - 1
    found = [drawn(points.tolist(), mask.shape) for parts in pieces for points in parts]
    assert np.array_equal(np.logical_or.reduce(found), mask)
    assert list(polygons(mask & False)) == []


def test_the_page_needs_nothing_else_and_shows_names_as_they_are(
    labels: np.ndarray, tmp_path: Path
) -> None:
    files = OutputFolder(tmp_path, ["html"], {"words": "<script>"})
    files.add("photo", result_of(labels), Path("a<b.jpg"))
    files.add("other", result_of(labels * 0), Path("other.jpg"))
    files.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert "<script" not in page and "http" not in page and 'src="data:' in page
    assert "<h2>a&lt;b.jpg</h2>" in page and "a &lt;red&gt; bus (unseen)" in page
    shares = result_of(labels).areas()
    assert f'none of these<td class="share">{shares["none of these"]:.1%}' in page
    assert "Not found: a &lt;red&gt; bus, röd, none of these" in page


def test_a_folder_has_the_files_of_all_images(labels: np.ndarray, tmp_path: Path) -> None:
    image = tmp_path / "photos" / "a.jpg"
    files = OutputFolder(tmp_path / "out", ["index", "coco", "labelme"], {})
    files.add("a", result_of(labels), image)
    files.add("frame_000001", result_of(255 + labels * 0), None)
    files.finish()
    written = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file())
    assert written == [
        "out/coco.json", "out/labelme/a.json", "out/labelme/frame_000001.json",
        "out/labels/a.png", "out/labels/frame_000001.png",
    ]  # fmt: skip
    content = json.loads((tmp_path / "out/labelme/a.json").read_text())
    assert content["imagePath"] == "../../photos/a.jpg" and content["imageData"] is None
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [each["file_name"] for each in coco["images"]] == ["../photos/a.jpg", "frame_000001"]
    assert {each["image_id"] for each in coco["annotations"]} == {1}
    with pytest.raises(InputError, match="b was asked for other classes"):
        files.add("b", result_of(labels, ("dog", "bus", "car")), None)


def test_an_image_on_another_drive_has_its_whole_path(
    labels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def relpath(path: Path, start: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("os.path.relpath", relpath)
    image = tmp_path / "a.jpg"
    files = OutputFolder(tmp_path / "out", ["coco", "labelme"], {})
    files.add("a", result_of(labels), image)
    files.finish()
    content = json.loads((tmp_path / "out/labelme/a.json").read_text())
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert content["imagePath"] == coco["images"][0]["file_name"] == str(image)


def test_other_formats_are_refused(labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format='voc' is none of index, coco, labelme, html"):
        result_of(labels).save(tmp_path / "a", "voc")
