"""The model: a training step, a prediction, and their parts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    cfg.clip.weights = "random"
    cfg.text_encoder.templates = "single"  # (what is embedded once is not measured)
    names = [f"class {index}" for index in range(classes)]
    with tempfile.TemporaryDirectory() as folder:
        cfg.text_encoder.cache_dir = folder
        if settings.dry_run:
            cfg.clip.model_name = str(Path(folder, "clip.json"))
            Path(cfg.clip.model_name).write_text(json.dumps(_TINY_CLIP), encoding="utf-8")
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


def with_gradients(losses: Callable[[], dict[str, Tensor]], module: nn.Module) -> Callable[[], Any]:
    """Forward and backward: losses, and the gradients of all that learns."""

    def step() -> list[Tensor]:
        values = losses()
        torch.stack([value.float() for value in values.values()]).sum().backward()
        learnable = [each for each in module.parameters() if each.requires_grad]
        return [*values.values(), *(each.grad for each in learnable if each.grad is not None)]

    return step


def training_steps(
    model: ZeroShotSegmentor, file: Path, settings: Settings
) -> dict[str, Callable[[], Any]]:
    """One step (forward, loss, backward) of each way."""
    classes = len(model.vocabulary.classes)
    image = torch.randn(settings.batch, 3, settings.size, settings.size, device=settings.device)
    labels = fake_labels(settings, classes)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]

    def plain_losses() -> dict[str, Tensor]:
        V, g = plain.encode_image(model.image_encoder, image)
        output = plain.decode(model.decode_head, V, g, plain.class_embeddings(model, file))
        return plain.head_losses(model.decode_head, output, labels)

    return {
        "ours": with_gradients(lambda: model.loss(image, samples), model),
        "plain": with_gradients(plain_losses, model),
    }


def train(settings: Settings) -> Iterator[Row]:
    """A training step of a batch, without optimizer and data; all classes are seen."""
    for classes in settings.classes:
        if classes > IGNORE_INDEX:
            print(f"train: {classes} classes do not fit into 8-bit labels: left out")
            continue
        for method in settings.methods:
            with model_of(method, classes, settings) as (model, file):
                yield compare(
                    f"{method}, C = {classes}, batch {settings.batch}",
                    training_steps(model, file, settings),
                    settings,
                    reset=lambda model=model: model.zero_grad(set_to_none=True),
                    before_timing=model.train,  # dropout, which would differ
                )


def test(settings: Settings) -> Iterator[Row]:
    """One image: a crop that is kept at its size, and a photograph in two windows."""
    crop = (settings.size, settings.size)
    photo = (settings.size, settings.size * 4 // 3)
    for classes in settings.classes:
        for method in settings.methods:
            with model_of(method, classes, settings, unseen=classes // 10) as (model, file):
                for name, shape, size in (
                    ("crop", crop, crop),
                    ("slide", photo, (settings.size * 15 // 16, settings.size * 5 // 4)),
                ):
                    image = torch.randn(1, 3, *shape, device=settings.device)
                    sample = SegDataSample(metainfo={"ori_shape": size})

                    def ours(image=image, sample=sample, model=model) -> Any:
                        with torch.no_grad():
                            return [model.predict(image, [sample])[0].pred_sem_seg.data[0]]

                    def rival(image=image, size=size, model=model, file=file) -> Any:
                        with torch.no_grad():
                            return [plain.predict(model, image, size, file)]

                    case = f"{method}, {name}, C = {classes}"
                    yield compare(case, {"ours": ours, "plain": rival}, settings)


def loss(settings: Settings) -> Iterator[Row]:
    """Upsampling, focal and dice loss, forward and backward, alone."""
    side = settings.size // 16
    for classes in settings.classes:
        logits = torch.randn(settings.batch, classes, side, side, device=settings.device)
        holder = nn.ParameterList([logits.requires_grad_()])
        labels, module = fake_labels(settings, classes), MaskLoss()
        yield compare(
            f"C = {classes}, batch {settings.batch}",
            {
                "ours": with_gradients(lambda h=holder, y=labels, m=module: m(h[0], y), holder),
                "plain": with_gradients(
                    lambda h=holder, y=labels, m=module: plain.mask_loss(m, h[0], y), holder
                ),
            },
            settings,
            reset=lambda holder=holder: holder.zero_grad(set_to_none=True),
        )


def head(settings: Settings) -> Iterator[Row]:
    """ZegCLIP's and TagCLIP's heads, forward and backward, at the patch grid's size."""
    side = settings.size // 16
    for classes in settings.classes:
        for method in settings.methods:
            if method == "ldvc":  # no published head to compare with
                continue
            with model_of(method, classes, settings) as (model, file):
                T, module = model.class_embeddings(), model.decode_head
                V = torch.randn(settings.batch, T.shape[1], side, side, device=settings.device)
                g = torch.randn(settings.batch, T.shape[1], device=settings.device)
                V, g = nn.functional.normalize(V, dim=1), nn.functional.normalize(g, dim=1)

                def ours(module=module, V=V, g=g, T=T) -> dict[str, Tensor]:
                    return _squares(module(V, g, T))

                def rival(module=module, V=V, g=g, file=file) -> dict[str, Tensor]:
                    embeddings = torch.load(file, map_location=V.device)
                    return _squares(plain.decode(module, V, g, embeddings))

                yield compare(
                    f"{method}, C = {classes}, batch {settings.batch}",
                    {
                        "ours": with_gradients(ours, module),
                        "plain": with_gradients(rival, module),
                    },
                    settings,
                    reset=lambda module=module: module.zero_grad(set_to_none=True),
                    before_timing=module.train,
                )


def _squares(output: Any) -> dict[str, Tensor]:
    maps = {"mask_logits": output.mask_logits, **output.extra_maps}
    return {name: each.float().square().mean() for name, each in maps.items()}


def attention(settings: Settings) -> Iterator[Row]:
    """A block of the image encoder, and route attention against gathering, forward and backward."""
    with model_of("zegclip", 20, settings) as (model, _):
        block, encoder = model.image_encoder.visual.transformer.resblocks[0], model.image_encoder
        width, count = encoder.prompts.shape[-1], (settings.size // 16) ** 2 + 1
        tokens = torch.randn(settings.batch, count, width, device=settings.device)
        prompts = torch.randn(settings.batch, 100, width, device=settings.device)
        learnable = nn.ParameterList([tokens.requires_grad_(), prompts.requires_grad_()])

        def plain_block() -> Tensor:
            joined = torch.cat([learnable[1], learnable[0]], dim=1).transpose(0, 1).contiguous()
            return plain.run_block(block, joined)[-count:]

        yield compare(
            f"image block, 100 prompts, batch {settings.batch}",
            {
                "ours": with_gradients(
                    lambda: {"": run_block(block, *learnable).square().mean()}, learnable
                ),
                "plain": with_gradients(lambda: {"": plain_block().square().mean()}, learnable),
            },
            settings,
            reset=lambda: learnable.zero_grad(set_to_none=True),
        )
    dims, p, k = (32, 2, 2) if settings.dry_run else (512, 8, 16)
    for side in (settings.size // 16, settings.size // 8):
        module = RouteAttention(dims, 8, regions_per_side=p, topk=k).to(settings.device)
        tokens = torch.randn(settings.batch, side * side, dims, device=settings.device)
        steps = {
            "ours": lambda m=module, x=tokens, s=side: m(x, (s, s)),
            "gathered": lambda m=module, x=tokens, s=side: plain.route_attention(m, x, (s, s)),
        }
        yield compare(
            f"route attention, {side}x{side} tokens, {k} of {p * p} regions",
            {
                name: with_gradients(lambda f=f: {"": f().float().square().mean()}, module)
                for name, f in steps.items()
            },
            settings,
            reset=lambda module=module: module.zero_grad(set_to_none=True),
        )


def profile(settings: Settings) -> Iterator[Row]:
    """The ten operations that a training step of ours spends most of its time in."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if settings.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    for classes in settings.classes:
        for method in settings.methods if classes <= IGNORE_INDEX else ():
            with model_of(method, classes, settings) as (model, file), settings.numerics():
                model.train()
                step = training_steps(model, file, settings)["ours"]
                step()  # warm-up
                model.zero_grad(set_to_none=True)
                with torch.profiler.profile(activities=activities, record_shapes=True) as found:
                    step()
                events = found.key_averages(group_by_input_shape=True)
                key = f"self_{'device' if settings.device == 'cuda' else 'cpu'}_time_total"
                total = sum(getattr(event, key) for event in events)
                largest = sorted(events, key=lambda event: -getattr(event, key))[:10]
                yield {
                    "case": f"{method}, C = {classes}, batch {settings.batch}",
                    "operations": [
                        {
                            "name": f"{event.key} {_shapes(event.input_shapes)}",
                            "calls": event.count,
                            "ms": getattr(event, key) / 1e3,
                            "percent": 100 * getattr(event, key) / max(total, 1e-9),
                        }
                        for event in largest
                    ],
                }


def _shapes(shapes: Any) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes or () if shape)
