"""Nothing named: CLIP without training, whose weights are downloaded once."""

from __future__ import annotations

import json
from pathlib import Path

import image_demo
import numpy as np
import pytest
from PIL import Image

from tests.conftest import OpenaiClip
from zegclip.apis import ZeroShotInferencer
from zegclip.errors import InputError


@pytest.fixture
def photo(openai_clip: OpenaiClip) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.jpg")
    return Path("photo.jpg")


def test_a_photograph_in_one_call(photo: Path) -> None:
    segment = ZeroShotInferencer(device="cpu")
    assert segment.checkpoint is None and segment.classes == ()
    result = segment(photo, {"pet": ["cat", "dog"], "grass": ["grass"]})
    assert result.labels.shape == (120, 200) and result.scores.shape == (2, 120, 200)
    assert (result.scores.sum(axis=0) < 1).all()  # the softmax is over three words
    # As in the published protocol: 336 pixels, windows of 224 every 112.
    encoded = segment.encode(photo)
    assert encoded.input_size == (336, 560)
    assert sum(len(windows.boxes) for windows in encoded.windows) == 2 * 4
    with pytest.raises(InputError, match="does not say its classes"):
        segment(encoded)


def test_on_the_command_line(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(photo), "--classes", "cat, dog, grass", "--json", "a.json"]
    image_demo.main(arguments)
    written = json.loads(Path("a.json").read_text())
    assert sum(written["images"]["photo.jpg"]["areas"].values()) == pytest.approx(1)
    assert written["checkpoint"] is None and Path("work_dirs/image_demo/photo.png").is_file()
    assert "downloading CLIP ViT-B-16-quickgelu" in capsys.readouterr().err


def test_without_weights_the_mini_model_is_named(
    photo: Path, openai_clip: OpenaiClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"(?s)put it at data/clip/ViT-B-16\.pt.*--mini, check"):
        image_demo.main([str(photo), "--classes", "cat"])
    openai_clip.reachable = False
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(InputError, match=r"(?s)no network.*--mini, check"):
        ZeroShotInferencer()
    # Where another model was asked for, that is no way out.
    with pytest.raises(InputError) as error:
        ZeroShotInferencer("training_free_coco")
    assert "--mini" not in str(error.value)
