"""Exported models answer as those in torch do; words and metadata from files."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from support.onnx_graph import describe

from tests.zegclip.apis.models import SCENE, WORDS, exported, files_of
from zegclip.apis import OnnxInferencer, SegmentationResult, ZeroShotInferencer, make_vocabulary
from zegclip.apis.class_words import ClassWords, text_fingerprint
from zegclip.apis.onnx_inferencer import METADATA_KEY, open_session
from zegclip.errors import InputError


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


@pytest.mark.parametrize("method", ["tagclip", "ldvc", "training_free"])
def test_the_text_encoder_in_torch(method: str) -> None:
    expected = ZeroShotInferencer(*files_of(method), device="cpu")
    found = OnnxInferencer(exported(method).path, None, *files_of(method))
    image = SCENE[:83, :90]  # sides that are no whole patches
    synonyms = {"animal": ["cat", "dog"], "bus": ["a red bus", "coach"]}
    for question in ((WORDS,), (WORDS, "cat, bottle"), (synonyms,), ()):
        if method == "training_free" and not question:  # it has no classes of its own
            continue
        assert_same(found(image, *question), expected(image, *question))
    if method != "training_free":  # words of the background are not calibrated as unseen classes
        options = dict(seen=["cat"], background="wall, a blue sky")
        assert_same(found(image, WORDS, **options), expected(image, WORDS, **options))


@pytest.mark.parametrize("method", ["tagclip", "training_free"])
def test_windows_and_resizing_are_the_files(method: str, tmp_path: Path) -> None:
    """Overlapping windows are averaged as probabilities, and without training as logits."""
    config, checkpoint = files_of(method)
    cfg = Config.fromfile(config)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(48, 60), stride=(30, 42), window_batch=3)
    step = dict(type="ResizeShortestEdge", scale=110, max_size=65536)
    cfg.test_dataloader.dataset.pipeline.insert(1, step)
    expected = ZeroShotInferencer(cfg, checkpoint, device="cpu")
    changes = describe(cfg, expected.model)
    path = rewritten(exported(method).path, tmp_path / "slide.onnx", **changes)
    found = OnnxInferencer(path, None, config, checkpoint)
    assert len(found.encode(SCENE).windows) > 2
    for refine in (None, "pamr"):
        options: dict[str, Any] = dict(text=WORDS, seen="cat", refine=refine)
        assert_same(found(SCENE, **options), expected(SCENE, **options))


@pytest.mark.parametrize("method", ["tagclip", "training_free"])
def test_saved_words_need_no_text_encoder(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the method's own background are among them."""
    expected = ZeroShotInferencer(*files_of(method), device="cpu")
    monkeypatch.setattr("zegclip.apis.onnx_inferencer.load_model", None)
    found = OnnxInferencer(exported(method).path)  # words.npz lies beside it
    assert found.classes == ("cat", "a red bus", "bottle", "aeroplane")
    assert_same(found(SCENE), expected(SCENE, WORDS))
    assert_same(found(found.encode(SCENE), "bottle, cat"), expected(SCENE, "bottle, cat"))
    with pytest.raises(InputError, match="no saved embedding of 'dog'"):
        found(SCENE, "cat, dog")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.onnx",), "no.onnx cannot be loaded"),
        (("model.onnx",), "words.npz cannot be read as class embeddings"),
        (("model.onnx", "words.npz", "tagclip_mini_inductive"), "not both"),
        (("model.onnx", "words.npz", None, None, "tpu"), "device 'tpu'"),
        (("model.onnx", "ldvc.npz"), "ldvc.npz embeds words otherwise than model.onnx"),
        (("old.onnx",), "old.onnx: not written by this version"),
        (("foreign.onnx",), "foreign.onnx: not written by"),
        (("harmful.onnx",), "LoadImageFromFile.* cannot be in a file"),
        (("scope.onnx",), "_scope_.* cannot be in a file"),
        (("large.onnx",), "scale=1000000000 cannot be in a file, only up to 4096"),
        (("nan.onnx",), "mean or std is no number"),
        (("padded.onnx",), "padded.onnx: normalisation.test_cfg"),
        (("vocabulary.onnx",), "vocabulary.onnx: its description cannot be used"),
    ],
)
def test_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(shutil.copy(exported("tagclip").path, "model.onnx"))
    shutil.copy(exported("ldvc").path.parent / "words.npz", "ldvc.npz")
    rewritten(path, Path("old.onnx"), version=1)
    rewritten(path, Path("harmful.onnx"), resize=[{"type": "LoadImageFromFile"}])
    scoped = {"type": "Resize", "scale": [9, 9], "_scope_": "evil"}  # mmengine would import it
    rewritten(path, Path("scope.onnx"), resize=[scoped])
    rewritten(path, Path("large.onnx"), resize=[{"type": "Resize", "scale": 10**9}])
    rewritten(path, Path("nan.onnx"), normalisation={"mean": [float("nan")] * 3, "std": [1] * 3})
    padded = {"mean": [0], "std": [1], "test_cfg": {"size_divisor": 16384}}
    rewritten(path, Path("padded.onnx"), normalisation=padded)
    rewritten(path, Path("vocabulary.onnx"), vocabulary=[1])
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, "foreign.onnx")
    with pytest.raises(InputError, match=message):
        OnnxInferencer(*arguments)


def test_without_onnx_runtime_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        OnnxInferencer("model.onnx")


def test_a_device_may_have_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    cuda = "CUDAExecutionProvider"
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [cuda])
    working, session = [cuda], SimpleNamespace(get_providers=lambda: working)
    monkeypatch.setattr(
        "onnxruntime.InferenceSession", lambda *args, **_: asked.append(args[2]) or session
    )
    for device in ("cuda", "cuda:1", torch.device("cuda", 0)):
        open_session("model.onnx", device)
    assert asked == [[(cuda, {})], [(cuda, {"device_id": "1"})], [(cuda, {"device_id": "0"})]]
    with pytest.raises(InputError, match="'cuda:x': take cpu, cuda or cuda:INDEX"):
        open_session("model.onnx", "cuda:x")
    working[0] = "CPUExecutionProvider"  # a library of CUDA's is missing
    with pytest.raises(InputError, match="'cuda' cannot be used"):
        open_session("model.onnx", "cuda")


def test_class_words_come_back(tmp_path: Path) -> None:
    rows = np.eye(3, 4, dtype=np.float32)
    queries = {"cat": ("cat", "kitten"), "bus": ("bus",), "röd": ("röd",)}
    words = ClassWords({"cat": ("cat", "kitten")}, queries, rows, "ab")
    words.save(tmp_path / "words.npz")
    read = ClassWords.read(tmp_path / "words.npz")
    assert (read.words, read.queries, read.text_fingerprint) == (words.words, queries, "ab")
    assert np.array_equal(read.rows(make_vocabulary("röd, cat")), rows[[2, 0]])
    with pytest.raises(InputError, match=r"saved with the words \['cat', 'kitten'\]"):
        read.rows(make_vocabulary({"cat": ["puma"]}))


def test_class_words_are_read_as_data(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    file = tmp_path / "words.npz"
    np.savez(file, embeddings=np.eye(3), words=np.array([Harmful()], dtype=object))
    with pytest.raises(InputError, match="words.npz cannot be read as class embeddings"):
        ClassWords.read(file)
    assert not (tmp_path / "ran").exists()


def test_a_small_file_of_class_words_is_not_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zegclip.apis.class_words._LARGEST", 10**6)
    np.savez_compressed(tmp_path / "words.npz", embeddings=np.zeros((10**3, 10**3)))
    assert (tmp_path / "words.npz").stat().st_size < 10**5
    with pytest.raises(InputError, match="it holds 8000.* bytes, and may hold 1000000"):
        ClassWords.read(tmp_path / "words.npz")


def test_what_is_learned_of_text_changes_the_fingerprint() -> None:
    with pytest.raises(InputError, match="started.pth embeds words otherwise"):
        OnnxInferencer(exported("tagclip").path, None, *files_of("ldvc"))
    model = ZeroShotInferencer(*files_of("ldvc"), "cpu").model
    before = text_fingerprint(model)
    assert before != text_fingerprint(ZeroShotInferencer(*files_of("zegclip"), "cpu").model)
    with torch.no_grad():
        model.text_encoder.language_prompts[0, 0, 0] += 1
    assert text_fingerprint(model) != before
