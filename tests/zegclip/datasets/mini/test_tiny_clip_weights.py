"""The committed tiny CLIP: loads into open_clip, knows the classes, finds them in the picture."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import load_file

from zegclip.datasets.mini.artwork import class_words
from zegclip.datasets.mini.compositor import compose_scene
from zegclip.datasets.mini.scenes import make_scene, scene_classes
from zegclip.files import PROJECT_ROOT

CONFIG = PROJECT_ROOT / "data/mini/tiny_clip.json"
WEIGHTS = PROJECT_ROOT / "data/mini/tiny_clip.safetensors"


def normalise(images: list[np.ndarray]) -> torch.Tensor:
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])
    return ((torch.from_numpy(np.stack(images)) - mean) / std).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def clip():
    model = CLIP(**json.loads(CONFIG.read_text()))
    state = {name: value.float() for name, value in load_file(WEIGHTS).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= {"attn_mask"}
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def class_embeddings(clip):
    tokenizer = open_clip.SimpleTokenizer(context_length=clip.context_length)
    words = class_words()
    captions = [f"a photo of a {words[name][0]}" for name in scene_classes()]
    return clip.encode_text(tokenizer(captions), normalize=True)


def test_top1_on_unseen_renderings(clip, class_embeddings):
    rng = np.random.default_rng(2024)
    groups = list(scene_classes().values())
    labels = np.arange(200) % len(groups)
    images = [compose_scene([groups[i][rng.integers(len(groups[i]))]], rng).image for i in labels]
    embeddings = clip.encode_image(normalise(images), normalize=True)
    guesses = (embeddings @ class_embeddings.T).argmax(1).numpy()
    assert (guesses == labels).mean() >= 0.8


def test_patches_find_their_class_far_above_chance(clip, class_embeddings):
    scenes = [make_scene("val", i) for i in range(40)]
    clip.visual.output_tokens = True
    pooled, tokens = clip.visual(normalise([scene.image for scene, _ in scenes]))
    clip.visual.output_tokens = False
    # What lets every patch's own embedding speak the text's language.
    assert torch.allclose((tokens @ clip.visual.proj).mean(1), pooled, atol=1e-5)
    grid = clip.visual.grid_size[0]
    similar = F.normalize(tokens @ clip.visual.proj, dim=-1) @ class_embeddings.T
    guesses = similar.argmax(-1).view(-1, grid, grid).numpy()
    centres = np.stack([labels[3::6, 3::6] for _, labels in scenes]).astype(int)
    objects = centres > 0
    assert (guesses[objects] == centres[objects] - 1).mean() > 0.5  # chance: 0.05
