#!/usr/bin/env python
"""Compare our modules with numbers of the published implementations.

An archive (.npz) holds the parameters of a small model under the published names, its inputs and
what the published code made of them. Prints the largest deviation of every output, and exits with
1 if one is beyond the tolerance: 1e-5 absolute, and for gradients 1e-4 relative to each tensor's
largest entry. (A key's bias before a softmax has a gradient of zero, of which both sides hold only
rounding, 1e-9; so no tensor is measured by less than 1e-4 of the archive's largest gradient.)
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import zegclip  # isort: skip  (first: prepares the stack)
import numpy as np
import open_clip
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from model_converters import HEADS, METHODS, convert_names
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import tagclip  # noqa: F401
from zegclip.clip import LoadedClip, TextTower
from zegclip.heads import upsample
from zegclip.segmentors.pseudo_labels import pseudo_label
from zegclip.segmentors.query_labels import QueryLabels
from zegclip.vocabulary import Vocabulary

ABSOLUTE, RELATIVE = 1e-5, 1e-4
PREFIXES = {"visual": "backbone", "text": "text_encoder", "head": "decode_head"}


class Reference:
    """One archive: its config, its arrays and our model with its parameters.

    Args:
        path: of the ``.npz``.
    """

    def __init__(self, path: str | Path) -> None:
        with np.load(path, allow_pickle=False) as archive:
            missing = {"config", "in.image", "in.tokens", "in.gt"} - set(archive.files)
            if missing:
                raise ValueError(f"{path} is no reference archive: it lacks {sorted(missing)}")
            self.config: dict[str, Any] = json.loads(str(archive["config"]))
            self.arrays = {
                key: torch.from_numpy(archive[key]) for key in archive.files if key != "config"
            }
        self.method = self.config["method"]
        if self.method not in METHODS:
            raise ValueError(f"{path}: method {self.method!r} is not one of {', '.join(METHODS)}")
        self.model = self._build()

    def _build(self) -> nn.ModuleDict:
        config = self.config
        visual, text, head = config["visual"], config["text"], config["head"]
        clip = open_clip.CLIP(
            embed_dim=config["embed_dim"],
            quick_gelu=config["activation"] == "quick_gelu",
            vision_cfg={
                "image_size": config["image_size"],
                "patch_size": config["patch_size"],
                "width": visual["width"],
                "layers": visual["layers"],
                "head_width": visual["width"] // visual["heads"],
            },
            text_cfg=text,
        )
        for parameter in clip.parameters():
            parameter.requires_grad_(False)
        loaded = LoadedClip(
            clip.eval(), tokenizer=None, model_name="reference", weights="", fingerprint="00" * 32
        )
        head_config = {
            "type": HEADS[self.method],
            "embed_dims": config["embed_dim"],
            "num_layers": head["layers"],
            "num_heads": head["heads"],
            "feedforward_channels": head["ffn"],
            "dropout": 0.0,
        }
        if self.method == "tagclip":
            head_config["trusty_target"] = "unseen_gt"  # what the published code trains with
        model = nn.ModuleDict(
            {
                "image_encoder": MODELS.build(
                    {
                        "type": "PromptedImageEncoder",
                        "clip": loaded,
                        "num_prompts": config["prompts"]["tokens"],
                        "prompt_depth": config["prompts"]["layers"],
                        "prompt_dropout": 0.0,
                        "class_embedding_twice": config["class_embedding_added_twice"],
                    }
                ),
                "text_encoder": nn.ModuleDict({"tower": TextTower(clip)}),
                "decode_head": MODELS.build(head_config),
            }
        )
        published = {}
        for key, value in self.arrays.items():
            if key.startswith("state."):
                part, _, name = key.removeprefix("state.").partition(".")
                published[f"{PREFIXES[part]}.{name}"] = value
        state, _ = convert_names(published, self.method)
        self._load(model, state)
        return model

    @staticmethod
    def _load(model: nn.Module, state: dict[str, Tensor]) -> None:
        own = dict(model.named_parameters())
        unknown = set(state) - set(own)
        if unknown:
            raise ValueError(f"our model has no {sorted(unknown)}")
        with torch.no_grad():
            for name, value in state.items():
                # Published prompts carry a leading dimension of 1.
                own[name].copy_(value.view_as(own[name]))

    # --- our side ---------------------------------------------------------------------------

    def outputs(self) -> dict[str, Tensor]:
        """Everything that the archive's ``out.*`` names, computed by our modules."""
        arrays, model, head = self.arrays, self.model, self.model["decode_head"]
        image, gt = arrays["in.image"], arrays["in.gt"]
        seen_ids, unseen_ids = arrays["in.seen"].tolist(), arrays["in.unseen"].tolist()
        classes = tuple(f"class {index}" for index in range(len(arrays["in.tokens"])))
        vocabulary = Vocabulary(classes=classes, unseen=tuple(classes[i] for i in unseen_ids))
        seen = torch.zeros(len(classes), dtype=torch.bool)
        seen[seen_ids] = True
        ours: dict[str, Tensor] = {}

        model.eval()
        with torch.no_grad():
            text = model["text_encoder"]["tower"](arrays["in.tokens"])
            patches, cls = model["image_encoder"](image)
            ours |= {
                "text_embeddings": text,
                "patch_embeddings": patches,
                "cls_embedding": cls,
            }
            output = head(patches, cls, text)
            ours |= self._evaluations(output, image.shape[-2:], seen)

        model.train()
        unseen_map = torch.isin(gt, torch.tensor(unseen_ids))
        hidden = gt.masked_fill(unseen_map, 255)
        labels = self._queries(vocabulary, hidden)
        output = head(*model["image_encoder"](image), text[seen])
        losses = head.losses(output, labels, unseen_map)
        ours |= {
            "train.gt_seen": labels,
            "train.pred_masks": upsample(output.mask_logits, image.shape[-2:]),
            "train.loss_mask": losses["loss_mask"],
            "train.loss_dice": losses["loss_dice"],
        }
        if output.trusty_logits is not None:
            ours["train.pred_disc"] = upsample(output.trusty_logits, image.shape[-2:])
            ours["train.loss_disc"] = losses["loss_trusty"]
        model.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        ours |= self._gradients()

        if "out.train_transductive.pred_masks" in arrays:
            output = head(*model["image_encoder"](image), text)
            logits = upsample(output.mask_logits, image.shape[-2:])
            ids = torch.tensor(unseen_ids)
            pseudo = pseudo_label(hidden, unseen_map, logits[:, ids], ids)
            losses = head.losses(output, pseudo, unseen_map)
            ours |= {
                "train_transductive.pred_masks": logits,
                "train_transductive.pseudo_labelled_gt": pseudo,
                "train_transductive.loss_mask": losses["loss_mask"],
                "train_transductive.loss_dice": losses["loss_dice"],
            }
        return {f"out.{key}": value.detach() for key, value in ours.items()}

    def _evaluations(self, output: Any, size: Any, seen: Tensor) -> dict[str, Tensor]:
        head = self.model["decode_head"]
        if self.method == "zegclip":
            return {
                f"eval.{name}": head.predict(output, size, seen, inductive).probabilities
                for name, inductive in (("inductive", True), ("transductive", False))
            }
        # The archive also has the weighted maps without gamma, which no setting of ours uses.
        results, gamma, weighting = {}, head.gamma, head.trusty_weighting
        for mode in ("none", "seen", "unseen", "both"):
            for name, subtracted in (("inductive", gamma), ("transductive", 0.0)):
                head.gamma, head.trusty_weighting = subtracted, mode
                maps = head.predict(output, size, seen, inductive=True).probabilities
                results[f"eval.weight_{mode}.{name}"] = maps
        head.gamma, head.trusty_weighting = gamma, weighting
        return results

    @staticmethod
    def _queries(vocabulary: Vocabulary, labels: Tensor) -> Tensor:
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        return QueryLabels(vocabulary)(labels, samples)

    def _gradients(self) -> dict[str, Tensor]:
        own = dict(self.model.named_parameters())
        gradients = {}
        for key, theirs in self.arrays.items():
            if not key.startswith("out.train.grad."):
                continue
            name = key.removeprefix("out.train.grad.")
            part, _, rest = name.partition(".")
            published = f"{PREFIXES[part]}.{rest}"
            converted, ignored = convert_names({published: theirs}, self.method)
            if ignored:
                raise ValueError(f"no counterpart of {published}, which has a gradient")
            gradient = own[next(iter(converted))].grad
            gradients[f"train.grad.{name}"] = (
                torch.full_like(theirs, torch.nan) if gradient is None else gradient.view_as(theirs)
            )
        return gradients

    def compare(self) -> list[tuple[str, float, float]]:
        """Every ``out.*`` key with its deviation and the tolerance for it."""
        ours = self.outputs()
        rows = []
        gradients = [value for key, value in self.arrays.items() if ".grad." in key]
        floor = RELATIVE * max((value.abs().max().item() for value in gradients), default=0.0)
        for key, theirs in self.arrays.items():
            if not key.startswith("out."):
                continue
            if key not in ours:
                raise ValueError(f"the archive has {key}, which we do not compute")
            difference = (ours[key].double() - theirs.double()).abs().max().item()
            if ".grad." in key:
                rows.append((key, difference / max(theirs.abs().max().item(), floor), RELATIVE))
            else:
                rows.append((key, difference, ABSOLUTE))
        return rows


def main(argv: list[str] | None = None) -> int:
    """Check the archives named on the command line; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/check_reference.py tests/data/*_reference.npz",
    )
    parser.add_argument("archives", nargs="+", metavar="ARCHIVE", help=".npz files")
    args = parser.parse_args(argv)
    if absent := [path for path in args.archives if not Path(path).is_file()]:
        parser.error(f"no such file: {', '.join(absent)}")

    # (In a file or a pipe there is no reason to cut names.)
    console, failed = Console(width=None if sys.stdout.isatty() else 120), False
    for path in args.archives:
        rows = Reference(path).compare()
        table = Table("output", "deviation", "tolerance", "", title=Path(path).name)
        for key, deviation, tolerance in rows:
            good = deviation <= tolerance  # false for NaN
            failed |= not good
            kind = "relative" if ".grad." in key else "absolute"
            verdict = "[green]ok" if good else "[red bold]differs"
            table.add_row(key, f"{deviation:.2e}", f"{tolerance:.0e} {kind}", verdict)
        console.print(table)
    console.print("[red bold]differs" if failed else f"[green]zegclip {zegclip.__version__}: same")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
