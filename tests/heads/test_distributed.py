"""Several processes learn from their parts what one process learns from the whole batch."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

import ldvc  # noqa: F401  (registers its modules)
import tagclip  # noqa: F401
from zegclip.compat import set_up
from zegclip.evaluation import ZeroShotIoUMetric
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


# The data set's setting, and which pixels self-training labels.
SETTINGS = {
    "inductive": ("inductive", "unseen_pixels"),
    "supervised": ("supervised", "unseen_pixels"),
    "transductive": ("transductive", "unseen_pixels"),
    "all-unlabelled": ("transductive", "all_unlabelled"),
}
CASES = list(itertools.product(METHODS, SETTINGS))
CLASSES: dict[str, Any] = {"classes": ("cat", "dog", "bus"), "unseen": ("dog",)}


def build(method: str, setting: str) -> ZeroShotSegmentor:
    kind, pseudo_labels = SETTINGS[setting]
    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(ROOT / "tests/data/tiny_vit.json"), "weights": "random:0"},
            "image_encoder": {"type": "PromptedImageEncoder", "prompt_dropout": 0.0},
            "text_encoder": {"type": "TextEncoder"},
            "pseudo_labels": pseudo_labels,
            **METHODS[method],
        }
    )
    model.init_weights()
    model.set_vocabulary(Vocabulary(**CLASSES, setting=kind))
    return model


def batch() -> tuple[Tensor, list[SegDataSample]]:
    """Four images, fewer classes than processes: in the first both seen ones, in the second one."""
    labels = torch.full((4, 1, 32, 32), 255)
    labels[:2, :, :16] = 0
    labels[:1, :, 16:] = 2
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    unseen = torch.zeros_like(labels, dtype=torch.uint8)
    unseen[3, :, 8:] = 1
    maps = [(PixelData(data=a), PixelData(data=b)) for a, b in zip(labels, unseen)]
    return images, [SegDataSample(gt_sem_seg=a, gt_unseen_map=b) for a, b in maps]


def learned(model: torch.nn.Module, images: Tensor, samples: list[SegDataSample]) -> dict[str, Any]:
    """Losses and gradients of a step; of what was not reached, none."""
    losses = model(images, samples, mode="loss")
    torch.stack(list(losses.values())).sum().backward()
    named = getattr(model, "module", model).named_parameters()
    return {
        "losses": {name: value.detach() for name, value in losses.items()},
        "gradients": {n: p.grad for n, p in named if p.grad is not None and p.grad.any()},
    }


def metrics(number: int) -> dict[str, float]:
    """Of that many images, as a loader gives them to each process; every third has no label."""
    metric = ZeroShotIoUMetric()
    metric.dataset_meta = {**CLASSES, "setting": "inductive"}
    maps = torch.randint(0, 3, (2, number, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    for index in DefaultSampler(range(number), shuffle=False):
        prediction, label = ({"data": each[index]} for each in maps)
        labelled = {"gt_sem_seg": label} if index % 3 != 1 else {}
        metric.process({}, [{"pred_sem_seg": prediction, **labelled}])
    return metric.evaluate(number)


@pytest.fixture(scope="module", params=[2, 4])
def parts(request: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two or four processes saw, by method and setting."""
    folder = tmp_path_factory.mktemp("distributed")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, f"--nproc_per_node={request.param}", __file__, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = [folder / f"{rank}.pt" for rank in range(request.param)]
    return [torch.load(file, weights_only=True) for file in files]


@pytest.mark.parametrize(("method", "setting"), CASES)
def test_several_processes_are_one(parts: list[Any], method: str, setting: str) -> None:
    whole = learned(build(method, setting), *batch())
    found = [part[f"{method} {setting}"] for part in parts]
    for name, value in whole["losses"].items():
        mean = torch.stack([each["losses"][name] for each in found]).mean()
        torch.testing.assert_close(mean, value, rtol=1e-5, atol=1e-6)
        assert found[0]["losses"][name] != found[-1]["losses"][name]
    gradients = found[0]["gradients"]
    assert set(gradients) == set(whole["gradients"])
    largest = max(float(value.abs().max()) for value in whole["gradients"].values())
    for name, value in whole["gradients"].items():
        # A key's bias has no effect on a softmax: its gradient is rounding on both sides.
        tolerance = 1e-4 * max(float(value.abs().max()), 1e-4 * largest)
        difference = (gradients[name] - value).abs().max()
        assert difference <= tolerance, (name, float(difference), tolerance)
        assert all(gradients[name].equal(each["gradients"][name]) for each in found)


@pytest.mark.parametrize("number", [1, 5, 8])
def test_several_processes_score_each_image_once(parts: list[Any], number: int) -> None:
    """Fewer images than processes, an uneven last batch, and as many for each."""
    assert all(part["metrics"][number] == metrics(number) for part in parts)


def _process(folder: Path) -> None:
    from mmengine.dist import get_dist_info, init_dist
    from torch.nn.parallel import DistributedDataParallel

    set_up()
    init_dist("pytorch", backend="gloo")
    rank, world = get_dist_info()
    images, samples = batch()
    size = len(samples) // world
    mine = slice(size * rank, size * (rank + 1))
    results: dict[str, Any] = {"metrics": {number: metrics(number) for number in (1, 5, 8)}}
    for case in CASES:
        model = DistributedDataParallel(build(*case))
        results[" ".join(case)] = learned(model, images[mine], samples[mine])
    torch.save(results, folder / f"{rank}.pt")
    # Without it gloo's threads may abort the process at its end; the wrapped models go first, for
    # their end waits for those threads.
    del model
    gc.collect()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    _process(Path(sys.argv[1]))
