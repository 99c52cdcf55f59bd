"""The prompted image encoder against open_clip's own forward and a plain loop."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.clip import LoadedClip, PromptedImageEncoder, load_clip
from zegclip.errors import InputError


def clip_with(tmp_path: Path, config: Path, **vision: object) -> LoadedClip:
    changed = json.loads(config.read_text())
    changed["vision_cfg"] |= vision
    (tmp_path / "model.json").write_text(json.dumps(changed))
    clip = load_clip(str(tmp_path / "model.json"), "random:0")
    for name, parameter in clip.model.visual.named_parameters():
        if "ln_" in name or "bias" in name:  # ones and zeros would hide a wrong order
            torch.manual_seed(len(name))
            parameter.data += 0.3 * torch.randn_like(parameter)
    return clip


@pytest.fixture
def clip(tmp_path: Path, tiny_clip_config: Path) -> LoadedClip:
    return clip_with(tmp_path, tiny_clip_config)


@pytest.mark.parametrize(
    "vision",
    [
        {},
        {"pool_type": "avg"},
        {"pool_type": "avg", "final_ln_after_pool": True},
        {"no_ln_pre": True, "ls_init_value": 0.5},
    ],
    ids=["tok", "avg", "avg-norm-after", "no-pre-norm-layer-scale"],
)
def test_without_prompts_it_is_open_clips_own(
    tmp_path: Path, tiny_clip_config: Path, vision: dict[str, object]
) -> None:
    clip = clip_with(tmp_path, tiny_clip_config, **vision)
    image = torch.randn(2, 3, 32, 32)
    _, cls = PromptedImageEncoder(clip, num_prompts=0).eval()(image)
    expected = clip.model.encode_image(image, normalize=True)
    torch.testing.assert_close(cls, expected, atol=1e-5, rtol=0)


def plain_loop(encoder: PromptedImageEncoder, image: Tensor) -> tuple[Tensor, Tensor]:
    """VPT-deep for one image, token by token, as the paper describes it."""
    visual, patch = encoder.visual, encoder.patch_size
    own, side = visual.positional_embedding, visual.grid_size[0]
    height, width = image.shape[-2] // patch, image.shape[-1] // patch
    table = own[1:].view(1, side, side, -1).permute(0, 3, 1, 2)
    table = F.interpolate(table, (height, width), mode="bilinear", align_corners=False)
    cls = visual.class_embedding + own[0]
    if encoder.class_embedding_twice:
        cls = cls + visual.class_embedding
    tokens = [cls]
    for y in range(height):
        for x in range(width):
            window = image[:, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
            tokens.append((visual.conv1.weight * window).sum((1, 2, 3)) + table[0, :, y, x])
    state = visual.ln_pre(torch.stack(tokens))
    cls, patches = state[:1], state[1:]
    for index, block in enumerate(visual.transformer.resblocks):
        if index < encoder.prompt_depth:
            raw = encoder.prompts[0] if index == 0 else encoder.deep_prompts[index - 1]
            prompts = encoder.prompt_projection(raw)
        out = block(torch.cat([cls, prompts, patches])[None])[0]
        cls, prompts, patches = out[:1], out[1 : -len(patches)], out[-len(patches) :]
    final = visual.ln_post(encoder.prompt_norm(torch.cat([cls, patches]))) @ visual.proj
    final = final / final.norm(dim=-1, keepdim=True)
    return final[1:].T.reshape(-1, height, width), final[0]


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("depth", [None, 1, 2])
@pytest.mark.parametrize("size", [(32, 32), (24, 48)])
def test_equals_a_plain_loop(
    clip: LoadedClip, size: tuple[int, int], depth: int | None, twice: bool
) -> None:
    encoder = PromptedImageEncoder(
        clip, num_prompts=3, prompt_depth=depth, class_embedding_twice=twice
    ).eval()
    images = torch.randn(2, 3, *size)
    for image, *found in zip(images, *encoder(images)):
        torch.testing.assert_close(tuple(found), plain_loop(encoder, image), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("num_prompts", [0, 2])
def test_patches_of_an_earlier_block(clip: LoadedClip, num_prompts: int) -> None:
    image, states = torch.randn(1, 3, 24, 32), []
    torch.manual_seed(0)
    last = PromptedImageEncoder(clip, num_prompts).eval()
    torch.manual_seed(0)
    second = PromptedImageEncoder(clip, num_prompts, patch_level=2).eval()
    # What the third block is given: CLS and 12 patches (and its own prompts).
    norm = clip.model.visual.transformer.resblocks[2].ln_1
    hook = norm.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    patches, cls = second(image)
    hook.remove()
    (state,) = (each for each in states if each.shape[1] == 13)
    visual = clip.model.visual
    expected = F.normalize(visual.ln_post(state[:, 1:]) @ visual.proj, dim=-1)
    torch.testing.assert_close(patches, expected.transpose(1, 2).unflatten(2, (3, 4)))
    torch.testing.assert_close(cls, last(image)[1])
    third = PromptedImageEncoder(clip, num_prompts, patch_level=3).eval()
    third.load_state_dict(last.state_dict())
    torch.testing.assert_close(third(image)[0], last(image)[0])


def test_prompts_alone_learn(clip: LoadedClip) -> None:
    encoder = PromptedImageEncoder(clip, num_prompts=4, prompt_dropout=0.5)
    image = torch.randn(1, 3, 32, 32)
    patches, cls = encoder(image)
    (patches[:, 0].sum() + cls[:, 0].sum()).backward()
    learned = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert learned == {name for name, p in encoder.named_parameters() if p.requires_grad}
    modules = {"prompts", "deep_prompts", "prompt_projection", "prompt_norm"}
    assert {name.split(".")[0] for name in learned} == modules
    # Dropout in training only.
    assert not torch.equal(encoder(image)[0], patches)
    encoder.eval()
    assert torch.equal(encoder(image)[0], encoder(image)[0])


def outputs_and_gradients(encoder: PromptedImageEncoder) -> list[Tensor]:
    torch.manual_seed(1)
    image = torch.randn(2, 3, 32, 32)
    torch.manual_seed(2)  # of the dropout
    patches, cls = encoder(image)
    loss = (patches * torch.randn_like(patches)).sum() + (cls * torch.randn_like(cls)).sum()
    learnable = [each for each in encoder.parameters() if each.requires_grad]
    return [patches, cls, *torch.autograd.grad(loss, learnable)]


@pytest.mark.parametrize("option", ["checkpoint_activations", "compile_blocks"])
def test_options_of_speed_and_memory_change_no_number(
    clip: LoadedClip, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # (Traced and differentiated, but without the minute of a C++ compiler.)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()  # (of whatever was compiled before)
    encoders = []
    for options in ({}, {option: True}):
        torch.manual_seed(0)
        encoders.append(PromptedImageEncoder(clip, num_prompts=3, **options))
    expected, found = map(outputs_and_gradients, encoders)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    if option == "compile_blocks":  # two graphs: the first block's tokens have no gradient
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2


def test_checkpointing_keeps_the_inputs_of_blocks_alone(clip: LoadedClip) -> None:
    kept = []
    for checkpointing in (False, True):
        encoder = PromptedImageEncoder(clip, 3, checkpoint_activations=checkpointing)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            encoder(torch.randn(2, 3, 32, 32))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_published_initialisation_of_all_but_the_bias(clip: LoadedClip) -> None:
    encoder = PromptedImageEncoder(clip, num_prompts=200)
    bound = (6 / (3 * 8 * 8 + 64)) ** 0.5
    assert encoder.prompts.shape == (1, 200, 64) and encoder.deep_prompts.shape == (2, 200, 64)
    assert 0.95 * bound < encoder.deep_prompts.abs().max() <= bound
    assert encoder.prompt_projection.bias.abs().max() == 0  # ours: the published bias is random


def test_what_does_not_fit_is_named(clip: LoadedClip) -> None:
    with pytest.raises(ValueError, match=r"33x32.*multiples of 8"):
        PromptedImageEncoder(clip)(torch.zeros(1, 3, 33, 32))
    for name, value in (("prompt_depth", 4), ("patch_level", 0), ("num_prompts", -1)):
        with pytest.raises(InputError, match=f"{name}={value}"):
            PromptedImageEncoder(clip, **{name: value})
