"""Two processes with half a batch each learn what one process learns from the whole batch."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

import ldvc  # noqa: F401  (registers its modules)
import tagclip  # noqa: F401
from zegclip.compat import set_up
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

ROOT = Path(__file__).parents[2]
SMALL = {"num_heads": 2, "feedforward_channels": 16, "dropout": 0.0}
METHODS: dict[str, dict[str, Any]] = {
    "zegclip": {"decode_head": {"type": "ATMHead", "decoder": SMALL}},
    "tagclip": {"decode_head": {"type": "TrustyHead", "decoder": SMALL}},
    "ldvc": {
        "text_encoder": {"type": "PromptedTextEncoder"},
        "decode_head": {
            "type": "ConsensusHead",
            "decoder": {**SMALL, "regions_per_side": 2, "topk": 2},
        },
    },
}


def build(method: str) -> ZeroShotSegmentor:
    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(ROOT / "tests/data/tiny_vit.json"), "weights": "random:0"},
            "image_encoder": {"type": "PromptedImageEncoder", "prompt_dropout": 0.0},
            "text_encoder": {"type": "TextEncoder"},
            **METHODS[method],
        }
    )
    model.init_weights()
    model.set_vocabulary(Vocabulary(classes=("cat", "dog", "bus"), unseen=("dog",)))
    return model


def batch() -> tuple[Tensor, list[SegDataSample]]:
    """Four images; the first two show both seen classes, the others one and none."""
    labels = torch.full((4, 1, 32, 32), 255)
    labels[:3, :, :16] = 0
    labels[:2, :, 16:] = 2
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return images, [SegDataSample(gt_sem_seg=PixelData(data=each)) for each in labels]


def learned(model: torch.nn.Module, images: Tensor, samples: list[SegDataSample]) -> dict[str, Any]:
    """Losses and gradients of a step; of what was not reached, none."""
    losses = model(images, samples, mode="loss")
    torch.stack(list(losses.values())).sum().backward()
    named = getattr(model, "module", model).named_parameters()
    return {
        "losses": {name: value.detach() for name, value in losses.items()},
        "gradients": {n: p.grad for n, p in named if p.grad is not None and p.grad.any()},
    }


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw, by method."""
    folder = tmp_path_factory.mktemp("distributed")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*command, __file__, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_are_one(halves: list[dict[str, Any]], method: str) -> None:
    whole = learned(build(method), *batch())
    first, second = (half[method] for half in halves)
    for name, value in whole["losses"].items():
        mean = (first["losses"][name] + second["losses"][name]) / 2
        torch.testing.assert_close(mean, value, rtol=1e-5, atol=1e-6)
        assert first["losses"][name] != second["losses"][name]
    assert set(first["gradients"]) == set(whole["gradients"])
    largest = max(float(value.abs().max()) for value in whole["gradients"].values())
    for name, value in whole["gradients"].items():
        # A key's bias has no effect on a softmax: its gradient is rounding on both sides.
        tolerance = 1e-4 * max(float(value.abs().max()), 1e-4 * largest)
        difference = (first["gradients"][name] - value).abs().max()
        assert difference <= tolerance, (name, float(difference), tolerance)
        assert first["gradients"][name].equal(second["gradients"][name])


def _process(folder: Path) -> None:
    from mmengine.dist import get_rank, init_dist
    from torch.nn.parallel import DistributedDataParallel

    set_up()
    init_dist("pytorch", backend="gloo")
    images, samples = batch()
    mine = slice(2 * get_rank(), 2 * get_rank() + 2)
    results = {
        method: learned(DistributedDataParallel(build(method)), images[mine], samples[mine])
        for method in METHODS
    }
    torch.save(results, folder / f"{get_rank()}.pt")
    # Without it gloo's threads may abort the process at its end; the wrapped models go first, for
    # their end waits for those threads.
    gc.collect()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    _process(Path(sys.argv[1]))
