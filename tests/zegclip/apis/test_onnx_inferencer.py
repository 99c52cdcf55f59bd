"""Exported models beside those in torch: graph, words, metadata, and the same answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from export_onnx import compare
from mmengine.config import Config
from mmseg.registry import MODELS
from onnx_export import describe, export_onnx

from zegclip.apis import OnnxInferencer, SegmentationResult, ZeroShotInferencer, make_vocabulary
from zegclip.apis.class_words import ClassWords, text_fingerprint
from zegclip.apis.onnx_description import METADATA_KEY, ModelDescription
from zegclip.apis.onnx_inferencer import open_session
from zegclip.errors import InputError

ROOT = Path(__file__).parents[3]
METHODS = ("zegclip", "tagclip", "ldvc")
Exported = Callable[[str], SimpleNamespace]
Files = Callable[[str], tuple[str, str]]
WORDS = "cat, a red bus, bottle, aeroplane"
# Images, rows and columns of patches, classes. LDVC's 4x4 regions fit none of the odd grids, and in
# the smallest most regions are padding.
CASES = ((1, 16, 16, 20), (2, 9, 22, 3), (3, 7, 5, 64), (1, 1, 2, 1), (1, 33, 18, 5))


def rewritten(path: Path, out: Path, **changes: Any) -> Path:
    """The same graph with other metadata."""
    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = json.dumps(json.loads(entry.value) | changes)
    onnx.save(model, out)
    return out


def assert_same(found: SegmentationResult, expected: SegmentationResult) -> None:
    assert found.classes == expected.classes and found.unseen == expected.unseen
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    nearest = np.sort(expected.scores, axis=0)
    sure = nearest[-1] - nearest[-2] > 1e-5
    assert sure.mean() > 0.9
    assert np.array_equal(found.labels[sure], expected.labels[sure])
    assert list(found.extra_maps) == list(expected.extra_maps)
    for name, values in found.extra_maps.items():
        np.testing.assert_allclose(values, expected.extra_maps[name], atol=1e-3)


# --- the graph -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_graph_is_torchs_for_all_sizes(exported: Exported, method: str) -> None:
    for case, difference, others in compare(exported(method).model, exported(method).path, CASES):
        assert difference <= 1e-3 and others == 0, case


def test_compare_tells_another_model(exported: Exported) -> None:
    results = list(compare(exported("ldvc").model, exported("zegclip").path, CASES[:1]))
    assert all(difference > 1e-3 and others > 0 for _, difference, others in results)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_in_a_file(exported: Exported, method: str) -> None:
    model, path = exported(method).model, exported(method).path
    session = open_session(path)
    shapes = {each.name: each.shape for each in session.get_inputs()}
    assert list(shapes) == ["image", "class_embeddings", "seen", "inductive"]
    free = [shapes["image"][axis] for axis in (0, 2, 3)] + shapes["seen"]
    assert all(isinstance(side, str) for side in free)
    extra = ["trusty_map"] if method == "tagclip" else []
    assert [output.name for output in session.get_outputs()] == ["probabilities", *extra]
    # Image encoder and head, not the text tower; nor where the code lay that exported it.
    parts = (model.image_encoder, model.decode_head)
    numbers = sum(parameter.numel() for part in parts for parameter in part.parameters())
    content = path.read_bytes()
    assert len(content) < 4 * numbers + 1_000_000
    assert b"site-packages" not in content and b"image_encoder.py" not in content
    found = ModelDescription.from_metadata(session.get_modelmeta().custom_metadata_map, "file")
    assert (found.patch_size, found.test_cfg["mode"]) == (6, "whole")
    assert found.templates == ["a photo of a {}"] and found.vocabulary is not None
    assert found.calibration == json.loads(json.dumps(model.decode_head.protocol(True)))


def test_all_kinds_of_route_attention(tmp_path: Path) -> None:
    """Learning routes, local enhancement, cosine masks: the head's other paths."""
    cfg = Config.fromfile(ROOT / "configs" / "ldvc_mini_inductive.py")
    options = dict(routing="differentiable", local_kernel=3, masks="cosine", num_layers=1)
    cfg.model.decode_head.decoder.update(options)
    torch.manual_seed(0)
    model = MODELS.build({**cfg.model, "_scope_": "mmseg"}).eval()
    export_onnx(model, tmp_path / "model.onnx", describe(cfg, model))
    for _, difference, others in compare(model, tmp_path / "model.onnx", CASES[:2]):
        assert difference <= 1e-3 and others == 0


# --- the inferencer --------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_text_encoder_in_torch(
    exported: Exported, files_of: Files, method: str, scene: np.ndarray
) -> None:
    expected = ZeroShotInferencer(*files_of(method), device="cpu")
    found = OnnxInferencer(exported(method).path, None, *files_of(method))
    image = scene[:83, :90]  # sides that are no whole patches
    for question in ((WORDS,), (WORDS, "cat, bottle"), ()):
        assert_same(found(image, *question), expected(image, *question))


def test_windows_and_resizing_are_the_files(
    exported: Exported, files_of: Files, scene: np.ndarray, tmp_path: Path
) -> None:
    config, checkpoint = files_of("tagclip")
    cfg = Config.fromfile(config)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(48, 60), stride=(30, 42), window_batch=3)
    step = dict(type="ResizeShortestEdge", scale=110, max_size=65536)
    cfg.test_dataloader.dataset.pipeline.insert(1, step)
    expected = ZeroShotInferencer(cfg, checkpoint, device="cpu")
    changes = json.loads(describe(cfg, expected.model).to_json())
    path = rewritten(exported("tagclip").path, tmp_path / "slide.onnx", **changes)
    found = OnnxInferencer(path, None, config, checkpoint)
    assert len(found.encode(scene).windows) > 2
    assert_same(found(scene, WORDS, seen="cat"), expected(scene, WORDS, seen="cat"))
    assert_same(found(scene, WORDS), expected(scene, WORDS))


def test_saved_words_need_no_text_encoder(
    exported: Exported, scene: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(exported("tagclip").path, tmp_path / "model.onnx")
    ClassWords.embed(exported("tagclip").model, make_vocabulary(WORDS)).save(tmp_path / "words.npz")
    expected = ZeroShotInferencer(device="cpu")
    monkeypatch.setattr("zegclip.apis.onnx_inferencer.load_model", None)
    found = OnnxInferencer(tmp_path / "model.onnx")  # words.npz lies beside it
    assert found.classes == ("cat", "a red bus", "bottle", "aeroplane")
    assert_same(found(scene), expected(scene, WORDS))
    first, second = found([scene, found.encode(scene)], "bottle, cat")
    assert_same(first, expected(scene, "bottle, cat"))
    assert np.array_equal(first.labels, second.labels)
    with pytest.raises(InputError, match="no saved embedding of 'dog'"):
        found(scene, "cat, dog")


def test_words_of_another_text_encoder_are_refused(
    exported: Exported, files_of: Files, tmp_path: Path
) -> None:
    ClassWords.embed(exported("ldvc").model, make_vocabulary(WORDS)).save(tmp_path / "w.npz")
    with pytest.raises(InputError, match="w.npz embeds words otherwise than .*tagclip.onnx"):
        OnnxInferencer(exported("tagclip").path, tmp_path / "w.npz")
    with pytest.raises(InputError, match="started.pth embeds words otherwise"):
        OnnxInferencer(exported("tagclip").path, None, *files_of("ldvc"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.onnx",), "there is no file no.onnx"),
        (("model.onnx",), "words.npz cannot be read as class embeddings"),
        (("model.onnx", "w.npz", "tagclip_mini_inductive"), "not both"),
        (("model.onnx", "w.npz", None, None, "tpu"), "device 'tpu'"),
        (("foreign.onnx",), "foreign.onnx was not written by"),
        (("broken.onnx",), "broken.onnx cannot be loaded"),
    ],
)
def test_messages(
    exported: Exported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Any,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(exported("tagclip").path, "model.onnx")
    model = onnx.load("model.onnx")
    del model.metadata_props[:]
    onnx.save(model, "foreign.onnx")
    Path("broken.onnx").write_bytes(Path("model.onnx").read_bytes()[:1000])
    with pytest.raises(InputError, match=message):
        OnnxInferencer(*arguments)


# --- metadata and words ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "not of version"),
        ({"resize": [{"type": "LoadImageFromFile"}]}, "LoadImageFromFile cannot be in a file"),
        ({"mean": [1, 2]}, "must have three numbers"),
        ({"test_cfg": {"mode": "slide"}}, "crop_size"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_other_metadata_is_refused(
    exported: Exported, changes: dict[str, Any], message: str
) -> None:
    metadata = open_session(exported("tagclip").path).get_modelmeta().custom_metadata_map
    content = json.loads(metadata[METADATA_KEY]) | changes
    with pytest.raises(InputError, match=f"some.onnx.*{message}"):
        ModelDescription.from_metadata({METADATA_KEY: json.dumps(content)}, "some.onnx")


def test_what_a_file_cannot_carry(exported: Exported, files_of: Files) -> None:
    cfg = Config.fromfile(files_of("tagclip")[0])
    cfg.model.data_preprocessor.bgr_to_rgb = False
    with pytest.raises(InputError, match="only mean, std and size with bgr_to_rgb"):
        describe(cfg, exported("tagclip").model)


def test_class_words_come_back(tmp_path: Path) -> None:
    rows = np.eye(3, 4, dtype=np.float32)
    words = ClassWords({"cat": ("cat", "kitten"), "bus": ("bus",), "röd": ("röd",)}, rows, "ab")
    words.save(tmp_path / "words.npz")
    read = ClassWords.read(tmp_path / "words.npz")
    assert read.words == words.words and read.text_fingerprint == "ab"
    assert np.array_equal(read.rows(make_vocabulary("röd, cat")), rows[[2, 0]])
    with pytest.raises(InputError, match=r"saved with the words \['cat', 'kitten'\]"):
        read.rows(make_vocabulary({"cat": ["puma"]}))


def test_class_words_are_read_as_data(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    file = tmp_path / "words.npz"
    for content in (
        dict(embeddings=np.eye(3), words=np.array([Harmful()], dtype=object)),
        dict(embeddings=np.eye(3), words=np.array("{}"), text_fingerprint=np.array("ab")),
        dict(embeddings=np.eye(3)),
    ):
        np.savez(file, **content)
        with pytest.raises(InputError, match="words.npz cannot be read as class embeddings"):
            ClassWords.read(file)
    assert not (tmp_path / "ran").exists()


def test_what_is_learned_of_text_changes_the_fingerprint(exported: Exported) -> None:
    model = exported("ldvc").model
    before = text_fingerprint(model)
    assert before != text_fingerprint(exported("zegclip").model)
    with torch.no_grad():
        prompt = model.text_encoder.language_prompts[0, 0]
        prompt[0] += 1
        assert text_fingerprint(model) != before
        prompt[0] -= 1
