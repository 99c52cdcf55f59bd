"""Words apart, and the threshold of the background."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

from zegclip.heads import ATMHead, HeadOutput, Prediction, TrainingFreeHead
from zegclip.segmentors.read_out import ReadOut
from zegclip.vocabulary import Background, Vocabulary

WORDS = Vocabulary(
    ("background", "cat", "dog"),
    synonyms={"background": ("sky", "wall"), "cat": ("cat", "wall")},
    setting="cross_dataset",
)


def test_a_class_has_the_probability_of_its_best_word() -> None:
    read_out = ReadOut(TrainingFreeHead(8), WORDS)
    assert read_out.queries.classes == ("sky", "wall", "cat", "dog")  # each word once
    logits = torch.randn(2, 4, 3, 3)
    sky, wall, cat, dog = logits.softmax(dim=1).unbind(1)
    expected = torch.stack([torch.maximum(sky, wall), torch.maximum(wall, cat), dog], dim=1)
    assert torch.equal(read_out(HeadOutput(logits)).probabilities, expected)


def test_other_heads_are_asked_for_classes() -> None:
    read_out = ReadOut(ATMHead(8, decoder={"num_heads": 2}), WORDS)
    logits = torch.randn(1, 3, 2, 2)
    assert read_out.queries is WORDS
    assert torch.equal(read_out(HeadOutput(logits)).probabilities, logits.sigmoid())


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_what_is_under_the_threshold_is_background(threshold: float) -> None:
    vocabulary = Vocabulary(("cat", "background", "dog"), setting="cross_dataset")
    logits = torch.randn(1, 3, 20, 20)
    head = TrainingFreeHead(8)
    plain = ReadOut(head, vocabulary)(HeadOutput(logits)).probabilities
    found = ReadOut(head, vocabulary, None, Background(threshold))(HeadOutput(logits)).probabilities
    best, label = plain.max(dim=1)
    assert torch.equal(found.argmax(dim=1), torch.where(best < threshold, 1, label))


class WeightedHead(ATMHead):
    """Its calibration makes all classes improbable, and some more than others."""

    def calibrate(self, prediction: Prediction, seen: torch.Tensor) -> Prediction:
        probabilities, maps = super().calibrate(prediction, seen)
        return Prediction(probabilities * maps["weight"], maps)


@pytest.mark.parametrize("head_type", [ATMHead, WeightedHead])
def test_a_background_does_not_depend_on_the_calibration(head_type: type[ATMHead]) -> None:
    """What is none of the classes is so whichever of them were trained on."""
    head = head_type(8, decoder={"num_heads": 2}, gamma=0.4)
    vocabulary = Vocabulary(("cat", "dog", "bus"), unseen=("bus",))
    logits = torch.randn(1, 4, 20, 20, generator=torch.Generator().manual_seed(0))
    maps = {"weight": torch.linspace(-4, 4, 400).view(1, 1, 20, 20)}
    background, seen = Background(0.5, words=("sky",)), torch.tensor([True, True, False])
    calibrated = ReadOut(head, vocabulary, seen)(HeadOutput(logits[:, :3], maps))
    plain = ReadOut(head, vocabulary, None, background)(HeadOutput(logits, maps))
    found = ReadOut(head, vocabulary, seen, background)(HeadOutput(logits, maps))
    nothing = plain.probabilities.argmax(dim=1) == 3
    expected = torch.where(nothing, 3, calibrated.probabilities.argmax(dim=1))
    assert 50 < nothing.sum() < 350
    assert torch.equal(found.probabilities.argmax(dim=1), expected)


def test_a_background_that_is_asked_for_nothing_is_nowhere() -> None:
    """And stays a number when its map is interpolated."""
    vocabulary = Vocabulary(("cat", "sky"), setting="cross_dataset")
    read_out = ReadOut(TrainingFreeHead(8), vocabulary, background=Background(words=("sky",)))
    found = read_out(HeadOutput(torch.randn(1, 2, 5, 5))).probabilities
    assert found.shape[1] == 3 and found.isfinite().all()
    assert (found.argmax(dim=1) < 2).all()


def test_words_that_are_one_to_clip_are_asked_once() -> None:
    synonyms = {"cat": ("cat", "Wall"), "heaven": ("sky",), "room": ("wall", "door")}
    vocabulary = Vocabulary(("cat", "heaven", "room"), synonyms=synonyms, setting="cross_dataset")
    background = Background(words=("Sky", "heaven", "tree"))
    read_out = ReadOut(TrainingFreeHead(8), vocabulary, background=background)
    assert read_out.queries.classes == ("cat", "Wall", "sky", "door", "tree")
    probabilities = read_out(HeadOutput(torch.randn(1, 5, 2, 2))).probabilities
    assert probabilities.shape[1] == 4
    of_classes = ReadOut(ATMHead(8, decoder={"num_heads": 2}), vocabulary, background=background)
    assert of_classes.queries.classes == ("cat", "heaven", "room", "tree")


@torch.no_grad()
def test_in_the_segmentor(tiny_clip_config: Path) -> None:
    """Word by word, averaged over windows as cosines: against the definition."""
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(tiny_clip_config), "weights": "random:0"},
            "image_encoder": {"type": "TrainingFreeImageEncoder"},
            "text_encoder": {"type": "TextEncoder"},
            "decode_head": {"type": "TrainingFreeHead"},
            "test_cfg": {
                "mode": "slide", "crop_size": (32, 32), "stride": (16, 16),
                "background": {"threshold": 0.1},
            },
        }
    ).eval()  # fmt: skip
    model.set_vocabulary(WORDS)
    image = torch.randn(1, 3, 32, 48)
    (prediction,) = model.encode_decode(image)
    found = prediction.whole().probabilities

    words = model.text_encoder.embed([("sky",), ("wall",), ("cat",), ("dog",)])
    cosine, counts = torch.zeros(4, 32, 48), torch.zeros(48)
    for left in (0, 16):
        patches, _ = model.image_encoder(image[..., left : left + 32])
        maps = torch.einsum("bdhw,cd->bchw", patches, words)
        maps = torch.nn.functional.interpolate(maps, size=(32, 32), mode="bilinear")
        cosine[..., left : left + 32] += maps[0]
        counts[left : left + 32] += 1
    sky, wall, cat, dog = (40 * cosine / counts).softmax(dim=0)
    background = torch.maximum(sky, wall).clamp(min=0.1)
    expected = torch.stack([background, torch.maximum(wall, cat), dog])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert model.protocol()["last_block"] == "naclip"
    assert model.protocol()["inference"]["background"] == {"threshold": 0.1}
