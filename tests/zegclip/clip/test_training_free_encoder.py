"""The image encoder without training; its numbers are those of tests/tools/test_check_reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from zegclip.clip import LAST_BLOCKS, PromptedImageEncoder, TrainingFreeImageEncoder, load_clip
from zegclip.clip.training_free_encoder import closeness
from zegclip.errors import InputError


def test_clip_as_it_is_and_nothing_to_learn(tiny_clip_config: Path) -> None:
    clip = load_clip(str(tiny_clip_config), "random:0")
    image = torch.randn(2, 3, 32, 32)  # the tower's own grid
    expected = PromptedImageEncoder(clip, num_prompts=0).eval()(image)
    torch.testing.assert_close(TrainingFreeImageEncoder(clip, "clip")(image), expected)
    encoders = [TrainingFreeImageEncoder(clip, name) for name in LAST_BLOCKS]
    assert not any(p.requires_grad for encoder in encoders for p in encoder.parameters())
    assert len({encoder(image)[0].sum().item() for encoder in encoders}) == len(LAST_BLOCKS)


def test_closeness_is_of_patches_alone() -> None:
    found = closeness((2, 3), deviation=5.0)
    assert found.shape == (7, 7) and not found[0].any() and not found[:, 0].any()
    # From the first patch of the first row to the last of the second: 1 down, 2 to the right.
    assert found[1, 6].item() == pytest.approx(torch.tensor(-5 / 50).exp().item())


def test_a_way_that_there_is_not(tiny_clip_config: Path) -> None:
    with pytest.raises(InputError, match="last_block='sam' is none of clip, maskclip, sclip"):
        TrainingFreeImageEncoder({"model_name": "no.json", "weights": "random"}, "sam")
