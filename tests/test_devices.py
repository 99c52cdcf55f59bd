"""On another device than the CPU models do the same.

That is CUDA where there is a GPU, and else an emulated device, for which a process of its own runs
this file (tests/test_emulated_device.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import check_reference
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch import Tensor

from ldvc import PromptedTextEncoder, RouteAttention
from tests.mini_models import METHODS, SETTINGS, build, close, scenes_of
from zegclip.apis import ZeroShotInferencer
from zegclip.clip import load_clip
from zegclip.evaluation import ZeroShotIoUMetric
from zegclip.evaluation.analyses import analyse
from zegclip.heads import HeadOutput
from zegclip.segmentors import ImagePrediction, as_prediction, image_prediction
from zegclip.visualization import FIGURES, Method
from zegclip.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
DEVICE = os.environ.get("ZEGCLIP_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "")
EMULATED = DEVICE == "emulated"

pytestmark = pytest.mark.skipif(not DEVICE, reason="needs a GPU, or the emulated device")


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Numbers of the CPU: cuDNN computes in TF32 otherwise, which has three digits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    if not EMULATED:
        yield
        return
    from tests.emulated_device import emulated  # (changes the process)

    with emulated():
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def on_both(compute: Callable[[str], Any]) -> tuple[Any, Any]:
    return compute(DEVICE), compute("cpu")


def test_mixing_is_an_error() -> None:
    there = torch.ones(2, device=DEVICE)
    assert ((there + torch.ones(())) * 2).tolist() == [4, 4]
    with pytest.raises(RuntimeError):
        there + torch.ones(2)


def test_models_may_share_a_clip(tiny_clip_config: Path) -> None:
    """The second one is built of what the first has taken to the device."""
    clip = load_clip(str(tiny_clip_config), "random")
    for _ in range(2):
        encoder = PromptedTextEncoder(clip).to(DEVICE)
        assert encoder(Vocabulary(("cat", "dog"))).device.type == DEVICE


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", METHODS)
def test_losses_and_gradients(method: str, setting: str, scenes: Path) -> None:
    model, data = build(method, setting), scenes_of(scenes, "train", 8, setting)
    model.dataset_meta = data.metainfo
    batch = pseudo_collate([data[index] for index in range(4)])

    def compute(device: str, dtype: torch.dtype | None = None) -> Tensor:
        model.to(device).zero_grad()
        with torch.autocast(device, dtype, enabled=dtype is not None):
            losses = model.loss(**model.data_preprocessor(batch, True))
        torch.stack(list(losses.values())).sum().backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        assert {each.device.type for each in gradients} == {device} and len(gradients) > 10
        return torch.cat([*(each[None] for each in losses.values()), *gradients])

    found, expected = on_both(compute)
    assert close(found, expected, 1e-3)
    for dtype in () if EMULATED else (torch.float16, torch.bfloat16):
        assert close(compute(DEVICE, dtype), expected, 0.1)


@pytest.mark.parametrize("routing", ["detached", "differentiable"])
def test_route_attention(routing: str) -> None:
    torch.manual_seed(0)
    attention = RouteAttention(32, 4, 4, 4, routing, local_kernel=3)
    inputs = torch.randn(2, 7 * 9, 32, dtype=torch.float64)

    def compute(device: str) -> Tensor:
        attention.to(device, torch.float64).zero_grad()
        tokens = inputs.clone().to(device).requires_grad_()
        output = attention(tokens, (7, 9))
        output.square().sum().backward()
        gradients = (tokens.grad, *(p.grad for p in attention.parameters()))
        routes = attention.routes(tokens, (7, 9))
        return torch.cat([output.flatten(), routes.flatten(), *(g.flatten() for g in gradients)])

    assert close(*on_both(compute), 1e-10)


@pytest.mark.filterwarnings("ignore:trusty_target='unseen_gt'")
@pytest.mark.parametrize("method", ["zegclip", "tagclip"])
def test_published_numbers(method: str) -> None:
    rows = check_reference.compare(ROOT / f"tests/data/{method}_reference.npz", DEVICE)
    assert rows and [row for row in rows if not row[1] <= row[2]] == []


@pytest.mark.parametrize("values", [2**26, 300], ids=["one tile", "tiles"])
@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["", "one class everywhere"])
def test_labels_of_windows(values: int, spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(image_prediction._VALUES_AT_ONCE, DEVICE, values)
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 6, 4, 4, dtype=torch.float64) * spread
    logits[:, :, 5] += 0.5
    boxes = [(0, 0, 16, 16), (0, 9, 16, 25)]
    flipped = {"flip": True, "flip_direction": "horizontal", "ori_shape": (37, 31)}

    def compute(device: str) -> tuple[Tensor, Tensor, Tensor]:
        windows = [
            (box, HeadOutput(each.to(device), {"map": each.to(device)[:, :1]}))
            for box, each in zip(boxes, logits)
        ]
        found = ImagePrediction(windows, (16, 25), 4, as_prediction)
        labels, maps = found.labels(flipped)
        return labels.cpu(), maps["map"].cpu(), found.whole().probabilities.cpu()

    for found, expected in zip(*on_both(compute)):
        torch.testing.assert_close(found, expected)


def test_metric() -> None:
    torch.manual_seed(0)
    count, names = 70, tuple("abcde")  # (more than wait for a GPU together)
    predictions = torch.randint(5, (count, 1, 30, 40))
    labels = torch.randint(6, predictions.shape, dtype=torch.uint8)
    labels[labels == 5] = 255

    def compute(device: str) -> dict[str, float]:
        metric = ZeroShotIoUMetric()
        metric.dataset_meta = {"classes": names, "unseen": names[3:]}
        for prediction, label in zip(predictions.to(device), labels.to(device)):
            sample = {"pred_sem_seg": {"data": prediction}, "gt_sem_seg": {"data": label}}
            metric.process(None, [sample])
        return metric.evaluate(count)

    found, expected = on_both(compute)
    assert found == expected and len(found) == 4


@pytest.mark.parametrize("method", METHODS)
def test_is_asked(method: str, scenes: Path, tmp_path: Path) -> None:
    files = (f"configs/{method}_mini_inductive.py", tmp_path / "started.pth")
    torch.save({"state_dict": build(method).cpu().state_dict()}, files[1])
    scene = Image.open(scenes_of(scenes, "test", 2).get_data_info(0)["img_path"])
    picture = np.asarray(scene.resize((150, 192)))
    words = {"dog": ["dog", "a brown dog"], "car": ["car"], "tree": ["tree"]}

    def compute(device: str) -> tuple[Any, Any]:
        segment = ZeroShotInferencer(*files, device=device)
        result = segment(picture, words, seen=["car"])
        assert result.labels.shape == picture.shape[:2] and result.draw().height == 192
        return result, segment.attention(picture, words, "dog")

    (found, attention), (expected, of_cpu) = on_both(compute)
    assert (found.labels == expected.labels).mean() > 0.99
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
    assert found.scores_at(3, 4) == pytest.approx(expected.scores_at(3, 4), abs=1e-3)
    assert found.extra_maps.keys() == expected.extra_maps.keys()
    for name, maps in found.extra_maps.items():
        assert maps == pytest.approx(expected.extra_maps[name], abs=1e-3)
    assert attention == pytest.approx(of_cpu, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_is_analysed_and_drawn(method: str, scenes: Path) -> None:
    data, model = scenes_of(scenes, "test", 2), build(method).to(DEVICE)
    model.dataset_meta = data.metainfo
    results = analyse(model, data, "started.pth")
    assert {"tokens", "calibration"} <= results.keys()
    shown = [Method("here", model, data, [0])]
    for name in FIGURES.module_dict:
        figure = FIGURES.get(name)
        if isinstance(model.decode_head, figure.head):
            figure(shown)
