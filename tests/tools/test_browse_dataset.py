"""tools/browse_dataset.py on generated scenes, and the counts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import browse_dataset
from zegclip.datasets import ZeroShotDataset
from zegclip.datasets.mini.scenes import make_scenes
from zegclip.datasets.statistics import label_statistics

CONFIG = "configs/tagclip_mini_inductive.py"


def write_masks(root: Path, masks: list[np.ndarray]) -> ZeroShotDataset:
    for index, mask in enumerate(masks):
        for folder, array in (("images", np.zeros((*mask.shape, 3), np.uint8)), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f"{index}.png")
    return ZeroShotDataset(
        data_root=str(root),
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        img_suffix=".png",
        metainfo=dict(classes=("cat", "dog", "bus")),
        unseen=["dog"],
    )


def test_counts_by_hand(tmp_path: Path) -> None:
    one = np.array([[0, 0, 1, 255]], np.uint8)
    only_unseen = np.array([[1, 1, 1, 255]], np.uint8)
    found = label_statistics(write_masks(tmp_path, [one, only_unseen]))
    assert found.pixels.tolist() == [2, 4, 0] and found.images.tolist() == [1, 2, 0]
    assert found.ignored == 2 and found.opened == 2
    assert found.shares() == {"seen": 0.25, "unseen": 0.5, "ignored": 0.25}
    assert found.never() == ["bus"]
    assert found.with_unseen == 2 and found.without_seen == 1
    assert label_statistics(write_masks(tmp_path, [one, only_unseen]), sample=1).opened == 1


def test_broken_masks_are_listed(tmp_path: Path) -> None:
    good = np.zeros((2, 2), np.uint8)
    dataset = write_masks(tmp_path, [good, good + 9])
    (found,) = label_statistics(dataset).broken
    assert "1.png" in found and "label 9" in found


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("data") / "scenes", num_train=6, num_val=2)


def options(scenes: Path) -> list[str]:
    settings = {"data_root": scenes, "num_train": 6, "num_val": 2}
    return ["--cfg-options", *(f"train_dataloader.dataset.{k}={v}" for k, v in settings.items())]


def test_sheet_and_counts(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, counts = tmp_path / "sheet.png", tmp_path / "counts.json"
    arguments = [CONFIG, "--number", "2", "--out", str(out), "--json", str(counts)]
    assert browse_dataset.main([*arguments, *options(scenes)]) == 0
    said = capsys.readouterr().out
    assert "6 images, inductive" in said and "UNSEEN" in said
    width, height = Image.open(out).size
    assert width > 500 and height > 500  # two rows of enlarged scenes
    content = json.loads(counts.read_text())
    assert content["masks"] == 6 and set(content["shares"]) == {"seen", "unseen", "ignored"}
    assert sum(content["shares"].values()) == pytest.approx(1)

    with pytest.raises(SystemExit):
        browse_dataset.main([*arguments, *options(scenes)])
    assert "say --force to overwrite" in capsys.readouterr().err


def test_training_sees_no_unseen_label_in_the_sheet(scenes: Path, tmp_path: Path) -> None:
    """The sheet's labels come through the pipeline that hides them."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    init_default_scope("mmseg")
    config = Config.fromfile(Path(__file__).parents[2] / CONFIG).train_dataloader.dataset
    config.update(data_root=str(scenes), num_train=6, num_val=2)
    dataset = DATASETS.build(config)
    unseen = [dataset.metainfo["classes"].index(name) for name in dataset.metainfo["unseen"]]
    raw = label_statistics(dataset)
    assert raw.pixels[unseen].sum() > 0
    for index in range(6):
        labels = dataset[index]["data_samples"].gt_sem_seg.data.numpy()
        assert not np.isin(labels, unseen).any()


def test_a_split_that_is_not_there() -> None:
    with pytest.raises(SystemExit, match="zegclip_coco_to_voc.py has no train_dataloader"):
        browse_dataset.main(["configs/zegclip_coco_to_voc.py"])
