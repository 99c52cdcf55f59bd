"""Labels as the files have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zegclip.datasets import ZeroShotDataset
from zegclip.datasets.file_labels import image_shape, read_file_labels
from zegclip.errors import InputError


def dataset(folder: Path, mask: np.ndarray, **kwargs: object) -> ZeroShotDataset:
    for name in ("images", "masks"):
        (folder / name).mkdir()
    Image.new("RGB", (6, 4)).save(folder / "images" / "a.jpg")
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    return ZeroShotDataset(
        data_root=str(folder),
        data_prefix={"img_path": "images", "seg_map_path": "masks"},
        metainfo={"classes": ["cat", "dog", "sofa"]},
        unseen=["sofa"],
        pipeline=[],
        **kwargs,
    )


def test_unseen_classes_are_not_hidden(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[0], mask[1] = 2, 255
    labels = read_file_labels(dataset(tmp_path, mask).get_data_info(0))
    assert labels.dtype == np.uint8 and (labels == mask).all()


def test_zero_is_ignored_where_the_data_set_says_so(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[0], mask[1] = 3, 255
    data = dataset(tmp_path, mask, reduce_zero_label=True)
    labels = read_file_labels(data.get_data_info(0))
    assert (labels[0] == 2).all() and (labels[1:] == 255).all()


def test_size_is_compared_without_decoding_the_image(tmp_path: Path) -> None:
    data = dataset(tmp_path, np.zeros((5, 6), np.uint8))
    with pytest.raises(InputError, match=r"a\.png: the label map is 6x5 .* its image 6x4"):
        read_file_labels(data.get_data_info(0))


def test_a_file_that_went_away_or_is_broken_is_a_label_error(tmp_path: Path) -> None:
    info = dataset(tmp_path, np.zeros((4, 6), np.uint8)).get_data_info(0)
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: cannot be read"):
        read_file_labels(info)
    (tmp_path / "images" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.jpg: not a readable image"):
        read_file_labels(info)
    with pytest.raises(InputError, match=r"b\.jpg"):
        image_shape(str(tmp_path / "b.jpg"))


def test_exif_orientation_counts_as_when_loading(tmp_path: Path) -> None:
    for orientation, shape in ((1, (4, 6)), (3, (4, 6)), (6, (6, 4)), (8, (6, 4))):
        exif = Image.Exif()
        exif[274] = orientation
        Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
        assert image_shape(str(tmp_path / "a.jpg")) == shape
