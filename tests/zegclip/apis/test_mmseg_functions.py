"""mmseg's own ways to use a model on a picture, with our three mini models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model, show_result_pyplot
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.zegclip.apis.models import METHODS, ROOT, SCENE, files_of
from zegclip.apis import ZeroShotInferencer
from zegclip.datasets import VOC20Dataset


@pytest.mark.parametrize("method", METHODS)
def test_three_ways_to_ask_give_the_same(method: str, tmp_path: Path) -> None:
    bgr = np.ascontiguousarray(SCENE[..., ::-1])
    model = init_model(*files_of(method), device="cpu")
    model.test_cfg["keep_probabilities"] = True
    sample = inference_model(model, bgr)
    labels = sample.pred_sem_seg.data[0].numpy()
    assert len(np.unique(labels)) > 1

    segmenter = ZeroShotInferencer(*files_of(method), device="cpu")
    result = segmenter(SCENE)
    assert np.array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.scores, sample.seg_logits.data.numpy())
    for name, values in result.extra_maps.items():
        np.testing.assert_array_equal(values, sample.get(name).data[0].numpy())
    assert list(result.extra_maps) == ["trusty_map"] * (method == "tagclip")

    inferencer = MMSegInferencer(*files_of(method), device="cpu")
    assert inferencer.model.vocabulary.unseen == VOC20Dataset.METAINFO["unseen"]
    answer = inferencer(bgr, return_vis=True, out_dir=str(tmp_path))
    assert np.array_equal(answer["predictions"], labels)
    assert answer["visualization"].shape == SCENE.shape
    with Image.open(tmp_path / "pred" / "00000000_pred.png") as written:
        assert np.array_equal(np.asarray(written), labels)


def test_other_words_through_mmseg() -> None:
    model = init_model(*files_of("tagclip"), device="cpu")
    model.dataset_meta = {"classes": ("plant", "bottle")}  # no palette: mmseg's drawing needs one
    sample = inference_model(model, np.ascontiguousarray(SCENE[..., ::-1]))
    assert set(sample.pred_sem_seg.data.unique().tolist()) <= {0, 1}
    drawn = show_result_pyplot(model, SCENE, sample, show=False)
    assert drawn.shape == SCENE.shape and not np.array_equal(drawn, SCENE)


def test_a_photo_file_through_its_configs_resizing(tmp_path: Path) -> None:
    """The VOC config's windows and resizing, on the tiny CLIP, as mmseg reads the same file."""
    cfg = Config.fromfile(ROOT / "configs" / "tagclip_mini_inductive.py")
    voc = Config.fromfile(ROOT / "configs" / "tagclip_voc_inductive.py")
    cfg.test_dataloader.dataset.pipeline = voc.test_dataloader.dataset.pipeline
    assert cfg.test_dataloader.dataset.pipeline[1].type == "ResizeShortestEdge"
    cfg.test_dataloader.dataset.pipeline[1].scale = 120
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
    windows = dict(mode="slide", crop_size=(96, 96), stride=(80, 80))
    cfg.model.test_cfg = dict(windows, keep_probabilities=True)
    checkpoint = str(ROOT / "data" / "mini" / "mini_model.pth")
    # What OpenCV and Pillow read in two ways: hidden colours, and an orientation in XMP alone.
    photo, text = tmp_path / "photo.png", PngInfo()
    picture = Image.fromarray(np.tile(SCENE, (2, 3, 1))[:150, :230])
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    text.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta tiff:Orientation="6"/>')
    picture.save(photo, pnginfo=text)
    model = init_model(cfg, checkpoint, device="cpu")
    sample = inference_model(model, str(photo))
    result = ZeroShotInferencer(cfg, checkpoint, device="cpu")(photo)
    assert result.image.shape[:2] == sample.pred_sem_seg.data.shape[1:] == (150, 230)
    np.testing.assert_array_equal(result.labels, sample.pred_sem_seg.data[0].numpy())
    np.testing.assert_array_equal(result.scores, sample.seg_logits.data.numpy())
