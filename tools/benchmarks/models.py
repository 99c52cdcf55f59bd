"""The model: a training step, a prediction, and their parts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmarks import plain
from benchmarks.measure import Settings, compare
from ldvc import RouteAttention
from zegclip.clip import LoadedClip, load_clip
from zegclip.clip.block import run_block
from zegclip.engine.launch import find_config
from zegclip.losses import MaskLoss
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

_TINY_CLIP = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": dict(image_size=32, layers=2, width=64, head_width=32, patch_size=16),
    "text_cfg": dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=2),
}
Row = dict[str, Any]


@cache
def _clip(tiny: bool) -> LoadedClip:
    """ViT-B/16 with random weights, the same for all models: drawing them takes seconds."""
    if not tiny:
        return load_clip("ViT-B-16-quickgelu", "random")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "clip.json")
        file.write_text(json.dumps(_TINY_CLIP), encoding="utf-8")
        return load_clip(str(file), "random")


@contextmanager
def model_of(
    method: str, classes: int, settings: Settings, unseen: int = 0
) -> Iterator[tuple[ZeroShotSegmentor, Path]]:
    """A method's model with random weights, and the file with its class embeddings.

    Its config is VOC's, or COCO-Stuff's (with more prompts) for more classes than Context has.

    Args:
        method: first word of its configs.
        classes: how many, with made-up names.
        settings: where it runs.
        unseen: how many of them are unseen, the last ones.
    """
    init_default_scope("mmseg")
    data = "voc" if classes < 60 else "coco"
    cfg = Config.fromfile(find_config(f"{method}_{data}_inductive")).model
    cfg.clip = _clip(settings.dry_run)
    cfg.text_encoder.templates = "single"  # (what is embedded once is not measured)
    names = tuple(f"class {index}" for index in range(classes))
    with tempfile.TemporaryDirectory() as folder:
        cfg.text_encoder.cache_dir = folder
        if settings.dry_run:
            cfg.test_cfg.update(crop_size=(64, 64), stride=(48, 48))
        torch.manual_seed(0)
        model = MODELS.build(cfg)
        for parameter in model.decode_head.parameters():
            if parameter.ndim > 1:  # far from the small start, where all maps are alike
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        model.to(settings.device).eval()
        model.set_vocabulary(Vocabulary(names, unseen=names[classes - unseen :]))
        file = Path(folder, "class_embeddings.pth")
        torch.save(model.class_embeddings(), file)
        yield model, file


def fake_labels(settings: Settings, classes: int) -> Tensor:
    """``(B, H, W)``: some classes in squares, a quarter of the pixels ignored."""
    side = max(settings.size // 8, 1)
    ids = torch.randint(min(classes, IGNORE_INDEX), (settings.batch, 6))
    labels = torch.cat([ids, torch.full((settings.batch, 2), IGNORE_INDEX)], dim=1)
    squares = labels.gather(1, torch.randint(8, (settings.batch, 64))).view(-1, 8, 8)
    whole = squares.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return whole[:, : settings.size, : settings.size].to(settings.device)


def compare_steps(
    case: str,
    ways: Mapping[str, Callable[[], dict[str, Tensor]]],
    module: nn.Module,
    settings: Settings,
    before_timing: Callable[[], Any] = lambda: None,
) -> Row:
    """Compare forward and backward passes; ``ways`` return losses that ``module`` learns from."""
    return compare(
        case,
        {name: partial(step, losses, module) for name, losses in ways.items()},
        settings,
        reset=partial(module.zero_grad, set_to_none=True),
        before_timing=before_timing,
    )


def step(losses: Callable[[], dict[str, Tensor]], module: nn.Module) -> list[Tensor]:
    """Forward and backward: losses, and the gradients of all that learns."""
    values = list(losses().values())
    torch.stack([value.float() for value in values]).sum().backward()
    return values + [each.grad for each in module.parameters() if each.grad is not None]


def training_losses(
    model: ZeroShotSegmentor, file: Path, settings: Settings
) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """Each way from images and labels to losses."""
    image = torch.randn(settings.batch, 3, settings.size, settings.size, device=settings.device)
    labels = fake_labels(settings, len(model.vocabulary.classes))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]

    def plain_losses() -> dict[str, Tensor]:
        V, g = plain.encode_image(model.image_encoder, image)
        output = plain.decode(model.decode_head, V, g, plain.class_embeddings(model, file))
        return plain.head_losses(model.decode_head, output, labels)

    return {"ours": partial(model.loss, image, samples), "plain": plain_losses}


def train(settings: Settings) -> Iterator[Row]:
    """A training step of a batch, without optimizer and data; all classes are seen."""
    for classes in settings.classes:
        if classes > IGNORE_INDEX:
            print(f"train: {classes} classes do not fit into 8-bit labels: left out")
            continue
        for method in settings.methods:
            with model_of(method, classes, settings) as (model, file):
                case = f"{method}, C = {classes}, batch {settings.batch}"
                losses = training_losses(model, file, settings)
                # (Without dropout, then with it: it would be another one for each way.)
                yield compare_steps(case, losses, model, settings, before_timing=model.train)


def test(settings: Settings) -> Iterator[Row]:
    """One image: a crop that is kept at its size, and a photograph in two windows."""
    side = settings.size
    crop, photo, original = (side, side), (side, side * 4 // 3), (side * 15 // 16, side * 5 // 4)
    for classes in settings.classes:
        for method in settings.methods:
            with model_of(method, classes, settings, unseen=classes // 10) as (model, file):
                for name, shape, size in (("crop", crop, crop), ("slide", photo, original)):
                    image = torch.randn(1, 3, *shape, device=settings.device)
                    ways = {
                        "ours": partial(_predict, model, image, size),
                        "plain": partial(plain.predict, model, image, size, file),
                    }
                    case = f"{method}, {name}, C = {classes}"
                    yield compare(case, ways, settings, outcome=lambda labels: [labels])


@torch.no_grad()
def _predict(model: ZeroShotSegmentor, image: Tensor, size: tuple[int, int]) -> Tensor:
    sample = SegDataSample(metainfo={"ori_shape": size})
    return model.predict(image, [sample])[0].pred_sem_seg.data[0]


def loss(settings: Settings) -> Iterator[Row]:
    """Upsampling, focal and dice loss, forward and backward, alone."""
    side = settings.size // 16
    for classes in settings.classes:
        logits = torch.randn(settings.batch, classes, side, side, device=settings.device)
        learnable = nn.ParameterList([logits.requires_grad_()])
        labels, module = fake_labels(settings, classes), MaskLoss()
        ways = {
            "ours": partial(module.forward, learnable[0], labels),
            "plain": partial(plain.mask_loss, module, learnable[0], labels),
        }
        yield compare_steps(f"C = {classes}, batch {settings.batch}", ways, learnable, settings)


def head(settings: Settings) -> Iterator[Row]:
    """ZegCLIP's and TagCLIP's heads, forward and backward, at the patch grid's size."""
    side = settings.size // 16
    for classes in settings.classes:
        for method in settings.methods:
            if method == "ldvc":  # no published head to compare with
                continue
            with model_of(method, classes, settings) as (model, _):
                T, module = model.class_embeddings(), model.decode_head
                V = torch.randn(settings.batch, T.shape[1], side, side, device=settings.device)
                g = torch.randn(settings.batch, T.shape[1], device=settings.device)
                V, g = nn.functional.normalize(V, dim=1), nn.functional.normalize(g, dim=1)
                ways = {
                    "ours": partial(_squares, partial(module.forward, V, g, T)),
                    "plain": partial(_squares, partial(plain.decode, module, V, g, T)),
                }
                case = f"{method}, C = {classes}, batch {settings.batch}"
                yield compare_steps(case, ways, module, settings, before_timing=module.train)


def _squares(way: Callable[[], Any]) -> dict[str, Tensor]:
    """Something to learn from, of a tensor or a head's maps."""
    output = way()
    if isinstance(output, Tensor):
        return {"": output.float().square().mean()}
    maps = {"mask_logits": output.mask_logits, **output.extra_maps}
    return {name: each.float().square().mean() for name, each in maps.items()}


def attention(settings: Settings) -> Iterator[Row]:
    """A block of the image encoder, and route attention against gathering, forward and backward."""
    with model_of("zegclip", 20, settings) as (model, _):
        block = model.image_encoder.visual.transformer.resblocks[0]
        width, count = block.attn.embed_dim, (settings.size // 16) ** 2 + 1
        tokens = torch.randn(settings.batch, count, width, device=settings.device)
        prompts = torch.randn(settings.batch, 100, width, device=settings.device)
        learnable = nn.ParameterList([tokens.requires_grad_(), prompts.requires_grad_()])

        def plain_block() -> Tensor:
            joined = torch.cat([*learnable][::-1], dim=1).transpose(0, 1).contiguous()
            return plain.run_block(block, joined)[-count:]

        ways = {
            "ours": partial(_squares, partial(run_block, block, *learnable)),
            "plain": partial(_squares, plain_block),
        }
        case = f"image block, 100 prompts, batch {settings.batch}"
        yield compare_steps(case, ways, learnable, settings)
    dims, p, k = (32, 2, 2) if settings.dry_run else (512, 8, 16)
    for side in (settings.size // 16, settings.size // 8):
        grid = (side, side)
        module = RouteAttention(dims, 8, regions_per_side=p, topk=k).to(settings.device)
        tokens = torch.randn(settings.batch, side * side, dims, device=settings.device)
        ways = {
            "ours": partial(_squares, partial(module, tokens, grid)),
            "gathered": partial(_squares, partial(plain.route_attention, module, tokens, grid)),
        }
        case = f"route attention, {side}x{side} tokens, {k} of {p * p} regions"
        yield compare_steps(case, ways, module, settings)


def profile(settings: Settings) -> Iterator[Row]:
    """The ten operations that a training step of ours spends most of its time in."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if settings.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    for classes in settings.classes:
        for method in settings.methods if classes <= IGNORE_INDEX else ():
            with model_of(method, classes, settings) as (model, file), settings.numerics():
                model.train()
                losses = training_losses(model, file, settings)["ours"]
                step(losses, model)  # warm-up
                model.zero_grad(set_to_none=True)
                with torch.profiler.profile(activities=activities, record_shapes=True) as found:
                    step(losses, model)
                operations = found.key_averages(group_by_input_shape=True)
                key = f"self_{settings.device}_time_total"
                table = operations.table(sort_by=key, row_limit=10, max_name_column_width=70)
                yield {"case": f"{method}, C = {classes}, batch {settings.batch}", "profile": table}
