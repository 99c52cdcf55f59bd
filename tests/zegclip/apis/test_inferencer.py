"""The Python interface on the mini model: what is computed how often, and messages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from zegclip.apis import SegmentationResult, ZeroShotInferencer, ZeroShotSegmenter
from zegclip.apis.preprocessing import MAX_TOKENS
from zegclip.datasets.mini.scenes import make_scene
from zegclip.errors import InputError

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "tagclip_mini_inductive.py"
CHECKPOINT = ROOT / "data" / "mini" / "mini_model.pth"


@pytest.fixture(scope="module")
def segment() -> ZeroShotInferencer:
    return ZeroShotSegmenter(device="cpu")  # the old name


@pytest.fixture(scope="module")
def sliding() -> ZeroShotInferencer:
    """The same model with windows that overlap, several at once."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(48, 48), stride=(30, 30), window_batch=4)
    return ZeroShotInferencer(cfg, CHECKPOINT, device="cpu")


@contextmanager
def counted(module: torch.nn.Module) -> Iterator[list[int]]:
    """How often a module runs within."""
    calls: list[int] = []
    handle = module.register_forward_hook(lambda *_: calls.append(1))
    yield calls
    handle.remove()


def test_the_mini_model_finds_what_is_in_mini_scenes(segment: ZeroShotInferencer) -> None:
    """Shares of 20 scenes, the background left out, against the drawn truth."""
    right = pixels = 0
    for index in range(20):
        scene, labels = make_scene("val", index)
        result = segment(scene.image)
        objects = labels > 0
        right += int((result.labels[objects] + 1 == labels[objects]).sum())
        pixels += int(objects.sum())
    assert len(segment.classes) == 20
    assert right / pixels > 0.6  # chance is 0.05


def test_other_words_ask_neither_image_encoder_nor_the_file_again(
    sliding: ZeroShotInferencer, scene: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "scene.png"
    Image.fromarray(scene).save(file)
    encoded = sliding.encode(file)
    assert len(encoded.windows) > 1
    file.unlink()
    questions = ("cat, dog", "bottle, aeroplane, bird")
    with counted(sliding.model.image_encoder) as calls:
        answers = [sliding(encoded, words) for words in questions]
    assert not calls
    for answer, words in zip(answers, questions):
        at_once = sliding(scene, words)
        assert np.array_equal(answer.labels, at_once.labels)
        assert np.array_equal(answer.scores, at_once.scores)
        assert np.array_equal(answer.extra_maps["trusty_map"], at_once.extra_maps["trusty_map"])


def test_results_are_those_of_encode_decode(sliding: ZeroShotInferencer, scene: np.ndarray) -> None:
    result = sliding(scene)
    with torch.no_grad():
        prediction = sliding.model.encode_decode(sliding._preprocess(scene))
    np.testing.assert_array_equal(result.scores, prediction.probabilities[0].numpy())
    np.testing.assert_array_equal(result.labels, result.scores.argmax(axis=0))
    assert result.labels.dtype == np.int64 and result.scores.dtype == np.float32


def test_a_stream_embeds_its_words_once(segment: ZeroShotInferencer, scene: np.ndarray) -> None:
    images = [scene, scene[:50], Image.fromarray(scene[:, :70]), segment.encode(scene[:1, :1])]
    with counted(segment.model.text_encoder) as calls:
        stream = segment.stream(iter(images), ["a boat", "a horse", "words of this test"])
        shapes = [result.labels.shape for result in stream]
    assert len(calls) == 1
    assert shapes == [(96, 96), (50, 96), (96, 70), (1, 1)]
    assert [result.classes for result in segment(iter(images), "cat")] == [("cat",)] * 4


def test_seen_words_are_calibrated(segment: ZeroShotInferencer, scene: np.ndarray) -> None:
    """TagCLIP's weighting: P_seen times M_A, P_unseen times 1 - M_A (gamma is 0 here)."""
    plain = segment(scene, "bottle, sofa")
    told = segment(scene, "bottle, sofa", seen="bottle")
    trust = plain.extra_maps["trusty_map"]
    assert trust.shape == (96, 96)
    np.testing.assert_allclose(told.scores[0], plain.scores[0] * trust, rtol=1e-5)
    np.testing.assert_allclose(told.scores[1], plain.scores[1] * (1 - trust), rtol=1e-4)
    assert told.unseen == ("sofa",) and plain.unseen == ()


def test_large_images_come_down_to_what_the_model_was_trained_on(
    segment: ZeroShotInferencer, scene: np.ndarray
) -> None:
    large = np.asarray(Image.fromarray(scene).resize((480, 480), Image.Resampling.BICUBIC))
    result = segment(large)
    assert result.labels.shape == (480, 480) and result.scores.shape == (20, 480, 480)
    small = np.asarray(Image.fromarray(result.labels.astype(np.uint8)).resize((96, 96), 0))
    assert (small == segment(scene).labels).mean() > 0.9
    assert np.array_equal(result.labels, result.scores.argmax(axis=0))
    assert segment.encode(large).input_size == (96, 96)
    patches = segment.encode(np.zeros((60, 9000, 3), np.uint8)).windows[0].patch_embeddings
    assert patches.shape[-2] * patches.shape[-1] < 1.25 * MAX_TOKENS


def test_attention_is_the_heads(
    segment: ZeroShotInferencer, sliding: ZeroShotInferencer, scene: np.ndarray
) -> None:
    """A softmax over the patches: the mean over the pixels is 1 / patches."""
    found = segment.attention(scene, "cat, bottle", "bottle")
    assert found.shape == (96, 96) and found.mean() == pytest.approx(1 / 16**2, rel=0.1)
    other = segment.attention(scene, "bottle, cat", "cat")
    assert not np.allclose(found, other)
    assert sliding.attention(scene, "cat, bottle", "bottle").mean() == pytest.approx(
        1 / 8**2, rel=0.1
    )


def test_learned_language_prompts_embed_the_words(
    files_of: Callable[[str], tuple[str, str]], scene: np.ndarray, tmp_path: Path
) -> None:
    config, checkpoint = files_of("ldvc")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    state["text_encoder.language_prompts"].normal_()
    meta = {"config": "ldvc_mini_inductive"}
    torch.save({"state_dict": state, "meta": meta}, tmp_path / "it.pth")
    ldvc = ZeroShotInferencer(checkpoint=tmp_path / "it.pth", device="cpu")  # knows its config
    assert Path(ldvc.config) == Path(config)
    result = ldvc(scene, "cat, bottle")
    before = ZeroShotInferencer(config, checkpoint, "cpu")(scene, "cat, bottle")
    assert np.abs(result.scores - before.scores).max() > 1e-3
    with pytest.raises(InputError, match=r"does not say its classes: give text"):
        ldvc(scene)


def test_several_threads_get_their_own_answers(
    segment: ZeroShotInferencer, scene: np.ndarray
) -> None:
    encoded = segment.encode(scene)
    questions = ["cat, dog", "bottle, boat, sofa", "bird"]
    expected = [segment(encoded, words).scores for words in questions]

    def ask(turn: int) -> SegmentationResult:
        return segment(encoded, questions[turn % 3])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(24)))
    for turn, result in enumerate(answers):
        assert np.array_equal(result.scores, expected[turn % 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tagclip_mini_x", CHECKPOINT), r"no config 'tagclip_mini_x'.*Did you mean"),
        ((None, "none.pth"), r"no checkpoint 'none\.pth'"),
        (("zegclip_mini_inductive",), "names no checkpoint.*checkpoint=PATH"),
        (("zegclip_mini_inductive", CHECKPOINT), r"mini_model\.pth: .*another model"),
        (("tagclip_voc_inductive", CHECKPOINT), r"CLIP.*ViT-B-16\.pt"),
        ((None, None, "gpu7"), "device 'gpu7' cannot be used"),
    ],
)
def test_messages_of_loading(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        ZeroShotInferencer(*arguments)


def test_messages_of_asking(
    segment: ZeroShotInferencer, sliding: ZeroShotInferencer, scene: np.ndarray
) -> None:
    with pytest.raises(InputError, match="a class twice"):
        segment.stream(["missing.jpg"], ["cat", "Cat"])  # before the first image
    with pytest.raises(InputError, match="'a very .*too long for the text encoder"):
        segment("missing.jpg", ["a very " + "very " * 20 + "long name"])
    with pytest.raises(InputError, match="only by the inferencer that encoded it"):
        segment(sliding.encode(scene), "cat")
    with pytest.raises(InputError, match="is a int: give a path"):
        segment(3, "cat")  # type: ignore[call-overload]
    config = Config.fromfile(CONFIG)
    config.model.data_preprocessor.test_cfg = dict(size_divisor=96)
    with pytest.raises(InputError, match="pads images at test time"):
        ZeroShotInferencer(config, CHECKPOINT, "cpu")


def test_extras_are_not_needed() -> None:
    """Neither Gradio nor ONNX Runtime is imported with the interface."""
    code = "import sys, zegclip.apis; print({'gradio', 'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
