"""The Python interface on the mini model: what is computed how often, and messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.zegclip.apis.models import SCENE, files_of
from zegclip.apis import SegmentationResult, ZeroShotInferencer, ZeroShotSegmenter
from zegclip.datasets.mini.compositor import compose_scene
from zegclip.datasets.mini.scenes import make_scene, scene_classes
from zegclip.errors import InputError
from zegclip.segmentors.refinement import PixelAdaptiveRefinement
from zegclip.vocabulary import Background

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "tagclip_mini_inductive.py"
CHECKPOINT = ROOT / "data" / "mini" / "mini_model.pth"


@pytest.fixture(scope="module")
def segment() -> ZeroShotInferencer:
    return ZeroShotSegmenter(checkpoint=CHECKPOINT, device="cpu")  # the old name


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
        scene, labels = make_scene("test", index)
        result = segment(scene.image)
        objects = labels > 0
        right += int((result.labels[objects] + 1 == labels[objects]).sum())
        pixels += int(objects.sum())
    assert len(segment.classes) == 20
    assert right / pixels > 0.6  # chance is 0.05


def test_other_words_ask_neither_image_encoder_nor_the_file_again(
    sliding: ZeroShotInferencer, tmp_path: Path
) -> None:
    file = tmp_path / "scene.png"
    Image.fromarray(SCENE).save(file)
    encoded = sliding.encode(file)
    assert len(encoded.windows) > 1
    file.unlink()
    questions = ("cat, dog", "bottle, aeroplane, bird")
    with counted(sliding.model.image_encoder) as calls:
        answers = [sliding(encoded, words) for words in questions]
    assert not calls
    for answer, words in zip(answers, questions):
        at_once = sliding(SCENE, words)
        assert np.array_equal(answer.scores, at_once.scores)
        assert np.array_equal(answer.labels, at_once.labels)
        assert np.array_equal(answer.extra_maps["trusty_map"], at_once.extra_maps["trusty_map"])


@pytest.mark.parametrize(
    ("asked", "threshold", "others"),
    [
        (True, 0.28, ()),  # the method's own, chosen on selection scenes
        (0.3, 0.3, ()),
        (np.float32(0.25), 0.25, ()),
        ("sky, bottle", 0.0, ("sky",)),
        (Background(0.2, ("train",)), 0.2, ("train",)),
        (False, None, ()),
    ],
)
def test_what_is_none_of_the_words(
    segment: ZeroShotInferencer,
    asked: bool | float | str | Background,
    threshold: float | None,
    others: tuple[str, ...],
) -> None:
    words = ("bottle", "bus", "cat")
    every = segment(SCENE, [*words, *others], background=False).scores
    own, rest = every[:3], every[3:].max(axis=0, initial=threshold or 0.0)
    expected = own.argmax(axis=0)
    if threshold is not None:
        expected[rest > own.max(axis=0)] = 255
    result = segment(SCENE, words, background=asked)
    assert np.array_equal(result.labels, expected) and result.scores.shape == own.shape
    areas = result.areas()
    assert sum(areas.values()) == pytest.approx(1)
    assert areas.get("none of these", 0) == (expected == 255).mean()
    assert list(areas) == [*words, *["none of these"] * (threshold is not None)]


def test_label_255_is_a_class_of_many_words(segment: ZeroShotInferencer) -> None:
    words = [f"thing {index}" for index in range(300)]
    result = segment(SCENE, words)
    assert list(result.areas()) == words and sum(result.areas().values()) == pytest.approx(1)
    assert result.label_of(255).startswith("thing 255 ")
    with pytest.raises(InputError, match=r"background=0\.3 takes at most 255 words"):
        segment(SCENE, words, background=0.3)


def test_another_threshold_keeps_the_model_s_own_background_words(
    segment: ZeroShotInferencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them one word would be everywhere in a softmax over the words."""
    monkeypatch.setattr(segment, "background", Background(0.1, ("sky", "wall")))
    vocabulary = segment.vocabulary("cat")
    for asked, found in [
        (0.3, Background(0.3, ("sky", "wall"))),
        ("0.3, tree", Background(0.3, ("tree",))),
        (Background(0.3), Background(0.3)),
    ]:
        assert segment._make_background(asked, vocabulary) == found


def test_a_word_may_be_called_background(segment: ZeroShotInferencer) -> None:
    """It is what is none of the others, and label 255 is not needed."""
    plain = segment(SCENE, "cat, Background, bottle", background=False)
    result = segment(SCENE, "cat, Background, bottle", background=0.3)
    expected = plain.scores.copy()
    expected[1] = expected[1].clip(min=0.3)
    np.testing.assert_array_equal(result.scores, expected)
    assert (result.labels == expected.argmax(axis=0)).mean() > 0.99  # (resized by rows of patches)
    assert list(result.areas()) == list(result.scores_at(0, 0)) == ["cat", "Background", "bottle"]


def test_nothing_is_background_among_the_classes_of_the_model(segment: ZeroShotInferencer) -> None:
    assert (segment(SCENE).labels < 20).all()
    assert (segment(SCENE, background=0.99).labels == 255).all()


def test_one_bus_on_a_wall_is_not_a_picture_full_of_bus(segment: ZeroShotInferencer) -> None:
    shares, truths = [], []
    buses = [drawing for drawing in scene_classes()["bus"] if drawing.split == "test"]
    for index in range(8):
        scene = compose_scene([buses[index]], np.random.default_rng(index))
        truths.append((scene.mask > 0).mean())
        areas = segment(scene.image, "bus, cat, bottle").areas()
        shares.append(areas["bus"])
        assert areas["none of these"] > 0.3
    # Of the picture; with every pixel one of the words it would be 0.76.
    assert np.abs(np.subtract(shares, truths)).mean() < 0.06


@pytest.mark.parametrize("words", [None, "bottle, cat"])
def test_refined_masks_follow_the_edges_of_the_image(words: str | None) -> None:
    plain = ZeroShotInferencer(CONFIG, CHECKPOINT, device="cpu")
    cfg = Config.fromfile(CONFIG)
    cfg.model.test_cfg.refine = "pamr"
    refined = ZeroShotInferencer(cfg, CHECKPOINT, device="cpu")
    large = np.asarray(Image.fromarray(SCENE).resize((192, 192)))
    before, after = plain(large, words), refined(large, words)
    image = refined.encode(large).inputs[0]
    maps = plain(large, words).prediction.whole().probabilities
    expected = PixelAdaptiveRefinement(dilations=(2, 4))(image, maps)
    found = after.prediction.whole().probabilities
    torch.testing.assert_close(found, expected)
    assert 0 < (before.labels != after.labels).mean() < 0.5
    assert np.array_equal(plain(large, words, refine="pamr").labels, after.labels)
    assert np.array_equal(refined(large, words, refine=False).labels, before.labels)
    with pytest.raises(InputError, match="refine='crf'"):
        plain(large, words, refine="crf")


def test_words_are_embedded_once_for_all_images(segment: ZeroShotInferencer) -> None:
    images = [SCENE, SCENE[:50], Image.fromarray(SCENE[:, :70]), segment.encode(SCENE[:1, :1])]
    with counted(segment.model.text_encoder) as calls:
        results = [segment(image, "a boat, words of this test") for image in images]
    assert len(calls) == 1
    assert [each.labels.shape for each in results] == [(96, 96), (50, 96), (96, 70), (1, 1)]


def test_seen_words_are_calibrated(segment: ZeroShotInferencer) -> None:
    """TagCLIP's weighting: P_seen times M_A, P_unseen times 1 - M_A (gamma is 0 here)."""
    plain = segment(SCENE, "bottle, sofa")
    told = segment(SCENE, "bottle, sofa", seen="bottle")
    trust = plain.extra_maps["trusty_map"]
    assert trust.shape == (96, 96)
    np.testing.assert_allclose(told.scores[0], plain.scores[0] * trust, rtol=1e-5)
    np.testing.assert_allclose(told.scores[1], plain.scores[1] * (1 - trust), rtol=1e-4)
    assert told.unseen == ("sofa",) and plain.unseen == ()


def test_large_images_come_down_to_what_the_model_was_trained_on(
    segment: ZeroShotInferencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = np.asarray(Image.fromarray(SCENE).resize((480, 480), Image.Resampling.BICUBIC))
    result = segment(large)
    assert result.labels.shape == (480, 480) and result.scores.shape == (20, 480, 480)
    small = np.asarray(Image.fromarray(result.labels.astype(np.uint8)).resize((96, 96), 0))
    assert (small == segment(SCENE).labels).mean() > 0.9
    assert np.array_equal(result.labels, result.scores.argmax(axis=0))
    assert segment.encode(large).input_size == (96, 96)
    monkeypatch.setattr("zegclip.apis.preprocessing.MAX_TOKENS", 400)
    patches = segment.encode(np.zeros((60, 9000, 3), np.uint8)).windows[0].patch_embeddings
    assert patches.shape[-2] * patches.shape[-1] < 1.25 * 400


def test_thin_pictures_are_not_enlarged_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config.fromfile(CONFIG)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(48, 48), stride=(48, 48))
    step = dict(type="ResizeShortestEdge", scale=96, max_size=65536)
    cfg.test_dataloader.dataset.pipeline.insert(1, step)
    inferencer = ZeroShotInferencer(cfg, CHECKPOINT, device="cpu")
    monkeypatch.setattr("zegclip.apis.preprocessing.MAX_ENLARGED", 8 * 96**2)
    thin = inferencer.encode(np.zeros((6, 600, 3), np.uint8))
    height, width = thin.input_size
    assert 0.9 < height * width / (8 * 96**2) < 1.1 and width / height == pytest.approx(100, 0.05)
    assert inferencer(thin, "cat, dog").labels.shape == (6, 600)
    assert inferencer.encode(np.zeros((20, 160, 3), np.uint8)).input_size == (96, 768)
    # A photograph that has them itself keeps them.
    assert inferencer.encode(np.zeros((96, 1000, 3), np.uint8)).input_size == (96, 1000)


def test_attention_is_the_heads(segment: ZeroShotInferencer, sliding: ZeroShotInferencer) -> None:
    """A softmax over the patches: the mean over the pixels is 1 / patches."""
    found = segment.attention(SCENE, "cat, bottle", "bottle")
    assert found.shape == (96, 96) and found.mean() == pytest.approx(1 / 16**2, rel=0.1)
    other = segment.attention(SCENE, "bottle, cat", "cat")
    assert not np.allclose(found, other)
    assert sliding.attention(SCENE, "cat, bottle", "bottle").mean() == pytest.approx(
        1 / 8**2,
        rel=0.3,  # (windows overlap)
    )


def test_learned_language_prompts_embed_the_words(tmp_path: Path) -> None:
    config, checkpoint = files_of("ldvc")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    state["text_encoder.language_prompts"].normal_()
    meta = {"config": "ldvc_mini_inductive"}
    torch.save({"state_dict": state, "meta": meta}, tmp_path / "it.pth")
    ldvc = ZeroShotInferencer(checkpoint=tmp_path / "it.pth", device="cpu")  # knows its config
    assert Path(ldvc.config) == Path(config)
    result = ldvc(SCENE, "cat, bottle")
    before = ZeroShotInferencer(config, checkpoint, "cpu")(SCENE, "cat, bottle")
    assert np.abs(result.scores - before.scores).max() > 1e-3
    with pytest.raises(InputError, match=r"does not say its classes: give text"):
        ldvc(SCENE)


def test_several_threads_get_their_own_answers(segment: ZeroShotInferencer) -> None:
    encoded = segment.encode(SCENE)
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
        (("zegclip_mini_inductive",), "names no trained checkpoint.*checkpoint=PATH"),
        (("zegclip_mini_inductive", CHECKPOINT), r"mini_model\.pth: .*another model"),
        (("tagclip_voc_inductive", CHECKPOINT), r"CLIP.*ViT-B-16\.pt"),
        ((None, None, "gpu7"), "device 'gpu7' cannot be used"),
    ],
)
def test_messages_of_loading(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        ZeroShotInferencer(*arguments)


def test_what_cannot_be_asked(segment: ZeroShotInferencer, sliding: ZeroShotInferencer) -> None:
    with pytest.raises(InputError, match="'a very .*too long for the text encoder"):
        segment("missing.jpg", ["a very " + "very " * 20 + "long name"])
    long = "very " * 80 + "long"
    for background in (f"sky, {long}", Background(0.3, (long,))):
        with pytest.raises(InputError, match="'very .*too long for the text encoder"):
            segment("missing.jpg", "cat", background=background)
    with pytest.raises(InputError, match="only by the inferencer that encoded it"):
        segment(sliding.encode(SCENE), "cat")


def test_padding_for_tests_is_left_out(segment: ZeroShotInferencer) -> None:
    config = Config.fromfile(CONFIG)
    config.model.data_preprocessor.test_cfg = dict(size_divisor=90)
    padding = ZeroShotInferencer(config, CHECKPOINT, "cpu")
    assert np.array_equal(padding(SCENE).labels, segment(SCENE).labels)


def test_extras_are_not_needed() -> None:
    """Neither Gradio nor ONNX Runtime is imported with the interface."""
    for file in (ROOT / "zegclip").rglob("*.py"):
        if not file.name.startswith("web_"):
            assert not re.search("^(import|from) (gradio|onnx)", file.read_text(), re.MULTILINE), (
                file
            )
