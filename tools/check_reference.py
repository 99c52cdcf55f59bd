#!/usr/bin/env python
"""Compare our modules with numbers of the published implementations.

An archive (.npz) holds the parameters of a small model under the published names, its inputs and
what the published code made of them. Prints the largest deviation of every output, and exits with
1 if one is beyond the tolerance: 1e-5 absolute, and for gradients 1e-4 relative to each tensor's
largest entry. (A key's bias before a softmax has a gradient of zero, of which both sides hold only
rounding, 1e-9; so no tensor is measured by less than 1e-4 of the archive's largest gradient.)

example: python tools/check_reference.py tests/data/*_reference.npz
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from model_converters.published import our_names
from support import training_free_reference
from torch import Tensor, nn

import tagclip  # noqa: F401
from zegclip.clip import TextTower
from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.heads import upsample
from zegclip.segmentors.training_labels import QueryLabels, pseudo_label
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

ABSOLUTE, RELATIVE = 1e-5, 1e-4
PREFIXES = {"visual": "backbone", "text": "text_encoder", "head": "decode_head"}
HEADS: dict[str, dict[str, Any]] = {
    "zegclip": {"type": "ATMHead"},
    # The target is what the published code trains with.
    "tagclip": {"type": "TrustyHead", "trusty_target": "unseen_gt"},
}


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """An archive's config and arrays.

    Raises:
        InputError: it is none.
    """
    if not Path(path).is_file():
        raise InputError(f"no such file: {path}")
    with np.load(path, allow_pickle=False) as archive:
        if missing := {"config", "in.image"} - set(archive.files):
            raise InputError(f"{path} is no reference archive: it lacks {sorted(missing)}")
        arrays = {k: torch.from_numpy(archive[k]) for k in archive.files if k != "config"}
        return json.loads(str(archive["config"])), arrays


def published_name(key: str) -> str:
    """``visual.conv1.weight`` of an archive in the published state dict."""
    part, _, name = key.partition(".")
    return f"{PREFIXES[part]}.{name}"


def clip_config(config: dict[str, Any]) -> dict[str, Any]:
    """The archive's CLIP as open_clip's arguments."""
    visual = config["visual"]
    return {
        "embed_dim": config["embed_dim"],
        "quick_gelu": config["activation"] == "quick_gelu",
        "vision_cfg": {
            "image_size": config["image_size"],
            "patch_size": config["patch_size"],
            "width": visual["width"],
            "layers": visual["layers"],
            "head_width": visual["width"] // visual["heads"],
        },
        "text_cfg": config["text"],
    }


def build(
    config: dict[str, Any], arrays: dict[str, Tensor]
) -> tuple[nn.ModuleDict, dict[str, nn.Parameter | None]]:
    """Our model with the archive's parameters; and these by published name.

    Leftovers of the published code, which our model does not have, are ``None``.
    """
    clip = training_free_reference.random_clip(clip_config(config))
    sizes = {"layers": "num_layers", "heads": "num_heads", "ffn": "feedforward_channels"}
    decoder = {ours: config["head"][theirs] for theirs, ours in sizes.items()}
    image_encoder = dict(
        type="PromptedImageEncoder",
        clip=clip,
        num_prompts=config["prompts"]["tokens"],
        prompt_depth=config["prompts"]["layers"],
        prompt_dropout=0.0,
        class_embedding_twice=config["class_embedding_added_twice"],
    )
    head = dict(
        HEADS[config["method"]],
        embed_dims=config["embed_dim"],
        decoder=decoder | {"dropout": 0.0},
    )
    model = nn.ModuleDict(
        {
            "image_encoder": MODELS.build(image_encoder),
            "text_encoder": nn.ModuleDict({"tower": TextTower(clip.model)}),
            "decode_head": MODELS.build(head),
        }
    )
    own = dict(model.named_parameters())
    keys = {published_name(k.removeprefix("state.")): k for k in arrays if k.startswith("state.")}
    parameters: dict[str, nn.Parameter | None] = {}
    for published, ours in our_names(keys, config["method"]).items():
        parameters[published] = parameter = None if ours is None else own[ours]
        if parameter is not None:  # (Published prompts carry a leading dimension of 1.)
            parameter.data.copy_(arrays[keys[published]].view_as(parameter))
    return model, parameters


def outputs(model: nn.ModuleDict, arrays: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Everything that the archive's ``out.*`` names but gradients, which this leaves behind."""
    image, gt, head = arrays["in.image"], arrays["in.gt"], model["decode_head"]
    size, unseen_ids = image.shape[-2:], arrays["in.unseen"]
    classes = tuple(f"class {index}" for index in range(len(arrays["in.tokens"])))
    vocabulary = Vocabulary(classes, unseen=tuple(classes[index] for index in unseen_ids))
    seen = ~torch.isin(torch.arange(len(classes), device=gt.device), unseen_ids)

    model.eval()
    with torch.no_grad():
        text = model["text_encoder"]["tower"](arrays["in.tokens"])
        patches, cls = model["image_encoder"](image)
        prediction = head.predict(head(patches, cls, text).upsampled(size))
        yield "text_embeddings", text
        yield "patch_embeddings", patches
        yield "cls_embedding", cls
        gamma, weighted = head.gamma, hasattr(head, "trusty_weighting")
        for mode in ("none", "seen", "unseen", "both") if weighted else ("",):
            head.trusty_weighting = mode
            for setting, head.gamma in (("inductive", gamma), ("transductive", 0.0)):
                name = f"weight_{mode}.{setting}" if mode else setting
                yield f"eval.{name}", head.calibrate(prediction, seen).probabilities

    model.train()
    unseen_map = torch.isin(gt, unseen_ids)
    hidden = gt.masked_fill(unseen_map, IGNORE_INDEX)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in hidden]
    labels = QueryLabels(vocabulary)(hidden, samples)
    yield "train.gt_seen", labels
    output = head(*model["image_encoder"](image), text[seen])
    losses = head.losses(output, labels, unseen_map)
    yield "train.pred_masks", upsample(output.mask_logits, size)
    if "trusty_map" in output.extra_maps:
        yield "train.pred_disc", upsample(output.extra_maps["trusty_map"], size)
        yield "train.loss_disc", losses["loss_trusty"]
    yield from ((f"train.{name}", losses[name]) for name in ("loss_mask", "loss_dice"))
    model.zero_grad()
    sum(losses.values(), torch.zeros(())).backward()

    with torch.no_grad():
        logits = upsample(head(*model["image_encoder"](image), text).mask_logits, size)
        pseudo = pseudo_label(hidden, unseen_map, logits[:, unseen_ids], unseen_ids)
        losses = model["decode_head"].mask_loss(logits, pseudo)
    yield "train_transductive.pred_masks", logits
    yield "train_transductive.pseudo_labelled_gt", pseudo
    yield from ((f"train_transductive.{key}", value) for key, value in losses.items())


def compare(path: str | Path, device: str = "cpu") -> list[tuple[str, float, float]]:
    """Every ``out.*`` of an archive with its deviation and the tolerance for it."""
    torch.backends.cudnn.allow_tf32 = False
    config, arrays = read(path)
    arrays = {key: array.to(device) for key, array in arrays.items()}
    parameters: dict[str, nn.Parameter | None] = {}
    if "naclip_std" in config:
        found_outputs = training_free_reference.outputs(config, arrays)
    else:
        model, parameters = build(config, arrays)
        found_outputs = outputs(model.to(device), arrays)
    ours = {f"out.{key}": value.detach() for key, value in found_outputs}
    gradients = {key: value for key, value in arrays.items() if key.startswith("out.train.grad.")}
    largest = max((value.abs().max().item() for value in gradients.values()), default=0.0)
    floor = RELATIVE * largest
    rows = []
    for key, theirs in arrays.items():
        if key in gradients:
            parameter = parameters[published_name(key.removeprefix("out.train.grad."))]
            if parameter is None:  # a leftover
                continue
            found = torch.full_like(theirs, torch.nan) if parameter.grad is None else parameter.grad
            scale, tolerance = max(theirs.abs().max().item(), floor), RELATIVE
        elif key.startswith("out."):
            found, scale, tolerance = ours[key], 1.0, ABSOLUTE
        else:
            continue
        difference = (found.view_as(theirs).double() - theirs.double()).abs().max().item()
        rows.append((key, difference / scale, tolerance))
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="+", metavar="ARCHIVE", help=".npz files")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    args = parser.parse_args(argv)
    failed = False
    for path in args.archives:
        table = pd.DataFrame(
            compare(path, args.device), columns=["output", "deviation", "tolerance"]
        )
        good = table["deviation"] <= table["tolerance"]  # false for NaN
        table[""] = good.map({True: "ok", False: "differs"})
        print(f"{path}\n{table.to_string(index=False, float_format='{:.0e}'.format)}\n")
        failed |= not good.all()
    print("differs" if failed else "same")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
