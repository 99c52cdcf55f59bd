"""mmseg's own ways to use a model on a picture, with our three mini models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import save_checkpoint, weights_to_cpu
from mmseg.apis import MMSegInferencer, inference_model, init_model, show_result_pyplot
from mmseg.registry import MODELS
from PIL import Image

from zegclip.apis import ZeroShotSegmenter
from zegclip.datasets import VOC20Dataset
from zegclip.datasets.mini.scenes import make_scene

ROOT = Path(__file__).parents[3]
METHODS = ("zegclip", "tagclip", "ldvc")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A mini scene, RGB."""
    return make_scene("val", 0)[0].image


def config_of(method: str) -> str:
    return str(ROOT / "configs" / f"{method}_mini_inductive.py")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A checkpoint of each method, as training writes them; TagCLIP's is the trained one."""
    files = {"tagclip": str(ROOT / "data" / "mini" / "mini_model.pth")}
    meta: dict[str, Any] = torch.load(files["tagclip"], weights_only=True)["meta"]["dataset_meta"]
    for method in ("zegclip", "ldvc"):
        torch.manual_seed(0)
        init_default_scope("mmseg")
        model = MODELS.build(Config.fromfile(config_of(method)).model)
        model.init_weights()
        state = weights_to_cpu(model.state_dict())
        files[method] = str(tmp_path_factory.mktemp(method) / "iter_1.pth")
        save_checkpoint({"state_dict": state, "meta": {"dataset_meta": meta}}, files[method])
    return files


@pytest.mark.parametrize("method", METHODS)
def test_three_ways_to_ask_give_the_same(
    method: str, checkpoints: dict[str, str], image: np.ndarray, tmp_path: Path
) -> None:
    bgr = np.ascontiguousarray(image[..., ::-1])
    model = init_model(config_of(method), checkpoints[method], device="cpu")
    sample = inference_model(model, bgr)
    labels = sample.pred_sem_seg.data[0].numpy()
    assert len(np.unique(labels)) > 1

    segmenter = ZeroShotSegmenter(config_of(method), checkpoints[method], device="cpu")
    result = segmenter(image)
    assert np.array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.scores, sample.seg_logits.data.numpy())
    assert (result.trusty_map is not None) == (method == "tagclip") == ("trusty_map" in sample)

    inferencer = MMSegInferencer(config_of(method), checkpoints[method], device="cpu")
    assert inferencer.model.vocabulary.unseen == VOC20Dataset.METAINFO["unseen"]
    answer = inferencer(bgr, return_vis=True, out_dir=str(tmp_path))
    assert np.array_equal(answer["predictions"], labels)
    assert answer["visualization"].shape == image.shape
    with Image.open(tmp_path / "pred" / "00000000_pred.png") as written:
        assert np.array_equal(np.asarray(written), labels)


def test_other_words_through_mmseg(checkpoints: dict[str, str], image: np.ndarray) -> None:
    model = init_model(config_of("tagclip"), checkpoints["tagclip"], device="cpu")
    model.dataset_meta = {"classes": ("plant", "bottle")}  # no palette: mmseg's drawing needs one
    sample = inference_model(model, np.ascontiguousarray(image[..., ::-1]))
    assert sample.seg_logits.data.shape[0] == 2
    drawn = show_result_pyplot(model, image, sample, show=False)
    assert drawn.shape == image.shape and not np.array_equal(drawn, image)


def test_a_photo_file_through_its_configs_resizing(tmp_path: Path) -> None:
    """The VOC config's windows and resizing, on the tiny CLIP, as mmseg reads the same file."""
    cfg = Config.fromfile(config_of("tagclip"))
    voc = Config.fromfile(ROOT / "configs" / "tagclip_voc_inductive.py")
    cfg.test_dataloader.dataset.pipeline = voc.test_dataloader.dataset.pipeline
    assert cfg.test_dataloader.dataset.pipeline[1].type == "ResizeShortestEdge"
    cfg.test_dataloader.dataset.pipeline[1].scale = 120
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.model.test_cfg = dict(mode="slide", crop_size=(96, 96), stride=(80, 80))
    checkpoint = str(ROOT / "data" / "mini" / "mini_model.pth")
    photo = ROOT / "tests/data/voc_sample/VOCdevkit/VOC2012/JPEGImages/2011_000003.jpg"
    model = init_model(cfg, checkpoint, device="cpu")
    sample = inference_model(model, str(photo))
    result = ZeroShotSegmenter(cfg, checkpoint, device="cpu")(photo)
    assert result.image.shape[:2] == sample.pred_sem_seg.data.shape[1:]
    same = result.labels == sample.pred_sem_seg.data[0].numpy()
    assert same.mean() > 0.999  # two JPEG decoders
    np.testing.assert_allclose(result.scores, sample.seg_logits.data.numpy(), atol=0.02)
