"""The model: a training step, a prediction, and their parts."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from functools import cache, partial
from itertools import product
from operator import attrgetter
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import profile as profiler

from benchmarks import plain
from benchmarks.measure import Row, Way, compare, median_min_max, numerics, step
from zegclip.clip import LoadedClip, load_clip
from zegclip.clip.block import run_block
from zegclip.engine.config_files import find_config
from zegclip.files import PROJECT_ROOT
from zegclip.losses import focal_dice_loss, present_classes
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary


@cache
def _clip(tiny: bool) -> LoadedClip:
    """ViT-B/16 with random weights, the same for all models: drawing them takes seconds."""
    name = str(PROJECT_ROOT / "tests/data/tiny_vit.json") if tiny else "ViT-B-16-quickgelu"
    return load_clip(name, "random")


def models(args: Namespace, trains: bool = True) -> Iterator[tuple[str, ZeroShotSegmentor, Path]]:
    """All models that are asked for, with random weights: name, model, file of class embeddings.

    A config is VOC's, or COCO-Stuff's (with more prompts) for more classes than Context has; the
    classes have made-up names. All are seen, in a test nine of ten.
    """
    init_default_scope("mmseg")
    given = {"compile_blocks": args.compile, "checkpoint_activations": args.checkpoint}
    for classes, method in product(args.classes, args.methods):
        if trains and classes > IGNORE_INDEX:  # more than 8-bit labels tell apart
            continue
        data = "voc" if classes < 60 else "coco"
        cfg = Config.fromfile(find_config(f"{method}_{data}_inductive")).model
        cfg.clip = _clip(args.dry_run)
        cfg.text_encoder.templates = "single"  # (what is embedded once is not measured)
        cfg.image_encoder.update({option: True for option in given if given[option]})
        if args.dry_run:
            cfg.test_cfg.update(crop_size=(64, 64), stride=(48, 48))
        names = tuple(f"class {index}" for index in range(classes))
        unseen = () if trains else names[classes * 9 // 10 :]
        with tempfile.TemporaryDirectory() as folder:
            cfg.text_encoder.cache_dir = folder
            torch.manual_seed(0)
            model = MODELS.build(cfg)
            for parameter in model.decode_head.parameters():
                if parameter.ndim > 1:  # far from the small start, where all maps are alike
                    nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
            model.to(args.device).eval().set_vocabulary(Vocabulary(names, unseen=unseen))
            file = Path(folder, "class_embeddings.pth")
            torch.save(model.class_embeddings(), file)
            yield f"{method}, C = {classes}", model, file


def fake_labels(args: Namespace, classes: int) -> Tensor:
    """``(B, H, W)``: some classes in squares, a quarter of the pixels ignored."""
    ids = torch.randint(min(classes, IGNORE_INDEX), (args.batch, 6))
    labels = torch.cat([ids, torch.full((args.batch, 2), IGNORE_INDEX)], dim=1)
    squares = labels.gather(1, torch.randint(8, (args.batch, 64))).view(-1, 1, 8, 8).float()
    return nn.functional.interpolate(squares, size=args.size)[:, 0].long().to(args.device)


def training_ways(model: ZeroShotSegmentor, file: Path, args: Namespace) -> dict[str, Way]:
    """Each way from images and labels to losses."""
    image = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
    labels = fake_labels(args, len(model.vocabulary.classes))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]

    def plain_losses() -> dict[str, Tensor]:
        V, g = plain.encode_image(model.image_encoder, image)
        output = plain.decode(model.decode_head, V, g, plain.class_embeddings(model, file))
        return plain.losses(model.decode_head, output, labels)

    return {"ours": partial(model.loss, image, samples), "plain": plain_losses}


def train(args: Namespace) -> Iterator[Row]:
    """A training step of a batch, without optimizer and data."""
    for case, model, file in models(args):
        yield from compare(case, training_ways(model, file, args), args, model, args.batch)


def test(args: Namespace) -> Iterator[Row]:
    """One image: a crop that is kept at its size, and a photograph in two windows."""
    side = args.size
    crop, photo, original = (side, side), (side, side * 4 // 3), (side * 15 // 16, side * 5 // 4)
    for case, model, file in models(args, trains=False):
        for name, shape, size in (("crop", crop, crop), ("slide", photo, original)):
            image = torch.randn(1, 3, *shape, device=args.device)
            ways = {
                "ours": partial(_predict, model, image, size),
                "plain": partial(plain.predict, model, image, size, file),
            }
            yield from compare(f"{case}, {name}", ways, args, images=1)


@torch.no_grad()
def _predict(model: ZeroShotSegmentor, image: Tensor, size: tuple[int, int]) -> Tensor:
    sample = SegDataSample(metainfo={"ori_shape": size})
    return model.predict(image, [sample])[0].pred_sem_seg.data[0]


def loss(args: Namespace) -> Iterator[Row]:
    """Upsampling, focal and dice loss, forward and backward, alone."""
    shape = (args.size // 16, args.size // 16)
    for classes in args.classes:
        logits = nn.Parameter(torch.randn(args.batch, classes, *shape, device=args.device))
        labels = fake_labels(args, classes)
        given = (logits, labels, present_classes(labels, classes))
        ways = {
            "ours": partial(focal_dice_loss, *given),
            "plain": partial(plain.focal_dice_loss, *given),
        }
        yield from compare(f"C = {classes}", ways, args, nn.ParameterList([logits]), args.batch)


def head(args: Namespace) -> Iterator[Row]:
    """The heads, forward and backward, at the patch grid's size (LDVC's beside itself)."""
    for case, model, _ in models(args):
        T, side = model.class_embeddings(), args.size // 16
        V = torch.randn(args.batch, T.shape[1], side, side, device=args.device)
        g = torch.randn(args.batch, T.shape[1], device=args.device)
        V, g = nn.functional.normalize(V, dim=1), nn.functional.normalize(g, dim=1)
        module: nn.Module = model.decode_head
        ways = {"ours": partial(module, V, g, T), "plain": partial(plain.decode, module, V, g, T)}
        yield from compare(case, ways, args, module, args.batch)


def attention(args: Namespace) -> Iterator[Row]:
    """A block of the image encoder, forward and backward, with few and many prompts."""
    block = _clip(args.dry_run).model.visual.transformer.resblocks[0].to(args.device)
    count, width = (args.size // 16) ** 2 + 1, block.attn.embed_dim
    for number in (10, 100):
        tokens, prompts = (
            nn.Parameter(torch.randn(args.batch, each, width, device=args.device))
            for each in (count, number)
        )
        ways = {
            "ours": partial(run_block, block, tokens, prompts),
            "plain": partial(_plain_block, block, tokens, prompts),
        }
        learns = nn.ParameterList([tokens, prompts])
        yield from compare(f"{number} prompts", ways, args, learns, args.batch)


def _plain_block(block: nn.Module, tokens: Tensor, prompts: Tensor) -> Tensor:
    after = plain.run_block(block, torch.cat([tokens, prompts], dim=1).transpose(0, 1))
    return after.transpose(0, 1)[:, : tokens.shape[1]]


def profile(args: Namespace) -> Iterator[Row]:
    """The ten operations that a training step of ours spends most of its time in."""
    spent = attrgetter(f"self_{'device' if args.device == 'cuda' else 'cpu'}_time_total")
    for case, model, file in models(args):
        ours = training_ways(model.train(), file, args)["ours"]
        with numerics(args):
            step(ours, model)  # warm-up
            with profiler(record_shapes=True) as found:
                step(ours, model)
        # (A kernel's time is its operation's already.)
        operations = found.key_averages(group_by_input_shape=True)
        operations = [each for each in operations if each.device_type == DeviceType.CPU]
        for each in sorted(operations, key=spent)[:-11:-1]:
            shapes = ["x".join(map(str, shape)) for shape in each.input_shapes if shape]
            yield {
                "case": case,
                "operation": " ".join([each.key[:70], *shapes]),
                "calls": each.count,
                "seconds": median_min_max([spent(each) / 1e6]),
                "of_all": spent(each) / sum(map(spent, operations)),
            }
