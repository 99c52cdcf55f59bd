"""OnnxSegmenter beside ZeroShotSegmenter: the same answers to the same questions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from zegclip.apis import OnnxSegmenter, SegmentationResult, ZeroShotSegmenter, make_vocabulary
from zegclip.datasets.mini.scenes import make_scene
from zegclip.errors import InputError
from zegclip.export import words_of
from zegclip.export.description import METADATA_KEY

WORDS = "cat, a red bus, bottle, aeroplane"


@pytest.fixture
def scene() -> np.ndarray:
    return make_scene("val", 0)[0].image


def rewritten(path: Path, out: Path, **changes: Any) -> Path:
    """The same graph with other metadata."""
    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = json.dumps(json.loads(entry.value) | changes)
    onnx.save(model, out)
    return out


def assert_same(found: SegmentationResult, expected: SegmentationResult) -> None:
    assert found.classes == expected.classes and found.unseen == expected.unseen
    assert found.scores.shape == expected.scores.shape
    assert np.abs(found.scores - expected.scores).max() <= 1e-3
    nearest = np.sort(expected.scores, axis=0)
    sure = nearest[-1] - nearest[-2] > 1e-5
    assert sure.mean() > 0.9
    assert np.array_equal(found.labels[sure], expected.labels[sure])
    assert (found.trusty_map is None) == (expected.trusty_map is None)
    if found.trusty_map is not None and expected.trusty_map is not None:
        assert np.abs(found.trusty_map - expected.trusty_map).max() <= 1e-3


@pytest.mark.parametrize("seen", [None, "cat, bottle"])
@pytest.mark.parametrize("method", ["zegclip", "tagclip", "ldvc"])
def test_the_text_encoder_in_torch(
    export_method: Callable[[str], Any], method: str, seen: str | None, scene: np.ndarray
) -> None:
    exported = export_method(method)
    files = (exported.config, exported.checkpoint)
    expected = ZeroShotSegmenter(*files, device="cpu")
    found = OnnxSegmenter(exported.path, None, *files)
    image = scene[:83, :90]  # sides that are no whole patches
    assert_same(found(image, WORDS, seen=seen), expected(image, WORDS, seen=seen))
    assert found.classes == expected.classes
    if method == "tagclip":  # the others' checkpoints do not say their classes
        assert_same(found(image), expected(image))


def test_windows_gamma_and_resizing_are_the_files(
    export_method: Callable[[str], Any], scene: np.ndarray, tmp_path: Path
) -> None:
    exported = export_method("tagclip")
    cfg = Config.fromfile(exported.config)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(48, 60), stride=(30, 42), window_batch=3)
    cfg.model.decode_head.update(gamma=0.2, trusty_weighting="unseen")
    step = dict(type="ResizeShortestEdge", scale=110, max_size=65536)
    cfg.test_dataloader.dataset.pipeline.insert(1, step)
    expected = ZeroShotSegmenter(cfg, exported.checkpoint, device="cpu")
    path = rewritten(
        exported.path,
        tmp_path / "slide.onnx",
        test_cfg=dict(cfg.model.test_cfg),
        gamma=0.2,
        trusty_weighting="unseen",
        resize=[step],
    )
    found = OnnxSegmenter(path, None, exported.config, exported.checkpoint)
    assert len(found.encode(scene).windows) > 2
    calibrated = found(scene, WORDS, seen="cat")
    assert_same(calibrated, expected(scene, WORDS, seen="cat"))
    assert calibrated.scores[0].min() < 0
    assert_same(found(scene, WORDS), expected(scene, WORDS))


def test_saved_words_need_no_text_encoder(
    export_method: Callable[[str], Any],
    scene: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported = export_method("tagclip")
    shutil.copy(exported.path, tmp_path / "model.onnx")
    words_of(exported.model, make_vocabulary(WORDS)).save(tmp_path / "words.npz")
    expected = ZeroShotSegmenter(device="cpu")
    monkeypatch.setattr("zegclip.clip.loading.load_clip", None)
    monkeypatch.setattr("zegclip.apis.onnx_segmenter.load_model", None)
    found = OnnxSegmenter(tmp_path / "model.onnx")  # words.npz lies beside it
    assert found.classes == ("cat", "a red bus", "bottle", "aeroplane")
    assert_same(found(scene), expected(scene, WORDS))
    assert_same(found(scene, "bottle, cat"), expected(scene, "bottle, cat"))
    with pytest.raises(InputError, match="no saved embedding of 'dog'"):
        found(scene, "cat, dog")


def test_images_of_all_kinds_and_many_at_once(
    export_method: Callable[[str], Any], scene: np.ndarray, tmp_path: Path
) -> None:
    exported = export_method("tagclip")
    words_of(exported.model, make_vocabulary(WORDS)).save(tmp_path / "w.npz")
    found = OnnxSegmenter(exported.path, tmp_path / "w.npz")
    Image.fromarray(scene).save(tmp_path / "scene.png")
    encoded = found.encode(scene)
    results = found([tmp_path / "scene.png", Image.fromarray(scene), scene, encoded], "cat, bottle")
    assert len(results) == 4
    for result in results:
        assert np.array_equal(result.labels, results[0].labels)
    assert len(list(found.stream([scene, scene[:60]], "cat, bottle"))) == 2
    with pytest.raises(InputError, match="no such file"):
        found(tmp_path / "other.png")


def test_words_of_another_text_encoder_are_refused(
    export_method: Callable[[str], Any], tmp_path: Path
) -> None:
    tagclip, ldvc = export_method("tagclip"), export_method("ldvc")
    words_of(ldvc.model, make_vocabulary(WORDS)).save(tmp_path / "w.npz")
    with pytest.raises(InputError, match="w.npz embeds words otherwise than .*model.onnx"):
        OnnxSegmenter(tagclip.path, tmp_path / "w.npz")
    with pytest.raises(InputError, match="started.pth embeds words otherwise"):
        OnnxSegmenter(tagclip.path, None, ldvc.config, ldvc.checkpoint)


def test_messages(export_method: Callable[[str], Any], tmp_path: Path) -> None:
    exported = export_method("tagclip")
    with pytest.raises(InputError, match="there is no file .*no.onnx"):
        OnnxSegmenter(tmp_path / "no.onnx")
    with pytest.raises(InputError, match="no words.npz beside it"):
        OnnxSegmenter(exported.path)
    with pytest.raises(InputError, match="not both"):
        OnnxSegmenter(exported.path, "w.npz", exported.config)
    (tmp_path / "broken.onnx").write_bytes(exported.path.read_bytes()[:1000])
    with pytest.raises(InputError, match="broken.onnx cannot be loaded by ONNX Runtime"):
        OnnxSegmenter(tmp_path / "broken.onnx", "w.npz")
    with pytest.raises(InputError, match="device 'tpu' cannot be used"):
        OnnxSegmenter(exported.path, "w.npz", device="tpu")
    model = onnx.load(exported.path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match="foreign.onnx was not written by"):
        OnnxSegmenter(tmp_path / "foreign.onnx", "w.npz")


def test_threads_of_torch_are_left_alone(export_method: Callable[[str], Any]) -> None:
    exported = export_method("tagclip")
    threads = torch.get_num_threads()
    OnnxSegmenter(exported.path, None, exported.config, exported.checkpoint, threads=1)
    assert torch.get_num_threads() == threads
