"""On a GPU: the numbers of the CPU, and whole runs. Without one all of this is skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import check_reference
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from torch import Tensor

from ldvc import RouteAttention
from zegclip.apis import ZeroShotInferencer
from zegclip.engine.launch import find_config
from zegclip.evaluation import ZeroShotIoUMetric
from zegclip.evaluation.analyses import analyse
from zegclip.heads import HeadOutput
from zegclip.segmentors import ImagePrediction, ZeroShotSegmentor, as_it_is, image_prediction
from zegclip.visualization import FIGURES, Method

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.slow,
]
ROOT = Path(__file__).parents[1]
METHODS = ("zegclip", "tagclip", "ldvc")
RUNS = ("", "--amp", "--launcher")
SETTINGS = ("inductive", "transductive", "transductive-all-unlabelled", "supervised")


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN computes in TF32 otherwise, which has three digits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@cache
def build(method: str, setting: str = "inductive") -> ZeroShotSegmentor:
    cfg = Config.fromfile(find_config(f"{method}_mini_{setting}"))
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.eval()


def dataset(scenes: Path, split: str, setting: str = "inductive", number: int = 8) -> Any:
    init_default_scope("mmseg")
    cfg = Config.fromfile(find_config(f"zegclip_mini_{setting}"))[f"{split}_dataloader"].dataset
    return DATASETS.build({**cfg, "number": number, "data_root": str(scenes)})


def on_both(compute: Callable[[str], Any]) -> tuple[Any, Any]:
    return compute("cuda"), compute("cpu")


def close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether the difference is that small a share of what is expected."""
    assert found.isfinite().all()
    difference = found.double().cpu() - expected.double().cpu()
    return bool(difference.norm() <= tolerance * expected.double().norm())


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", METHODS)
def test_losses_and_gradients(method: str, setting: str, scenes: Path) -> None:
    model, data = build(method, setting), dataset(scenes, "train", setting)
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
    for dtype in (torch.float16, torch.bfloat16):
        assert close(compute("cuda", dtype), expected, 0.1)


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
    rows = check_reference.compare(ROOT / f"tests/data/{method}_reference.npz", "cuda")
    assert rows and [row for row in rows if not row[1] <= row[2]] == []


@pytest.mark.parametrize("values", [2**26, 300], ids=["one tile", "tiles"])
@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["", "one class everywhere"])
def test_labels_of_windows(values: int, spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(image_prediction._VALUES_AT_ONCE, "cuda", values)
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
        found = ImagePrediction(windows, (16, 25), 4, as_it_is)
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


# --- whole runs ---------------------------------------------------------------------------------


def start(method: str, how: str, folder: Path, scenes: Path, steps: int) -> subprocess.Popen[bytes]:
    """``tools/train.py`` for a few steps, and its validation."""
    options = [f"train_cfg.max_iters={steps}", "train_cfg.val_interval=100"]
    options += ["train_dataloader.pin_memory=True", "default_hooks.logger.interval=2"]
    for loader, number in (("train", 40), ("val", 20)):
        options.append(f"{loader}_dataloader.dataset.number={number}")
        options.append(f"{loader}_dataloader.dataset.data_root={scenes}")
    command = [str(ROOT / "tools/train.py"), f"configs/{method}_mini_inductive.py", "--seed=0"]
    command += [f"--work-dir={folder}", "--resume", "--cfg-options", *options]
    if how == "--launcher":
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
        command = [*torchrun, *command[:3], "--launcher=pytorch", *command[3:]]
    elif how:
        command.insert(2, how)
    folder.mkdir(exist_ok=True)
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
        )


@pytest.fixture(scope="module")
def trained(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for each method and way to train it: six steps, then resumed for four."""
    root = tmp_path_factory.mktemp("trained")
    for split in ("train", "test"):  # drawn once
        dataset(scenes, split, number={"train": 40, "test": 20}[split])
    for steps in (6, 10):
        runs = {
            (method, how): start(method, how, root / f"{method}{how}", scenes, steps)
            for method in METHODS
            for how in RUNS
        }
        failed = [key for key, process in runs.items() if process.wait(300)]
        texts = [(root / "".join(key) / "output.txt").read_text()[-2000:] for key in failed]
        assert not failed, "\n".join([str(failed), *texts])
    return root


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("method", METHODS)
def test_trains_and_resumes(method: str, how: str, trained: Path, scenes: Path) -> None:
    folder = trained / f"{method}{how}"
    lines = [
        json.loads(line)
        for log in sorted(folder.glob("*/vis_data/scalars.json"))
        for line in log.read_text().splitlines()
    ]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert sorted(losses) == [2, 4, 6, 8, 10]
    assert all(0 < loss < float("inf") for loss in losses.values())
    assert all(line["memory"] > 0 for line in lines if "loss" in line)  # of the GPU
    content = torch.load(folder / "iter_10.pth", weights_only=True)
    assert bool(content["optimizer"].get("loss_scaler")) == (how == "--amp")
    # The CPU gives the same scores.
    model, data = build(method).to("cpu"), dataset(scenes, "test", number=20)
    model.load_state_dict(content["state_dict"])
    metric = ZeroShotIoUMetric()
    model.dataset_meta = metric.dataset_meta = data.metainfo
    for index in range(len(data)):
        with torch.no_grad():
            samples = model.test_step(pseudo_collate([data[index]]))
        metric.process(None, [sample.to_dict() for sample in samples])
    expected = metric.evaluate(len(data))
    report = json.loads((folder / "report.json").read_text())
    assert {key: report[key] for key in expected} == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("method", METHODS)
def test_is_asked(method: str, trained: Path, scenes: Path) -> None:
    files = (ROOT / f"configs/{method}_mini_inductive.py", trained / method / "iter_10.pth")
    scene = Image.open(dataset(scenes, "test", number=20).get_data_info(0)["img_path"])
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
def test_is_analysed_and_drawn(method: str, trained: Path, scenes: Path) -> None:
    data, file = dataset(scenes, "test", number=20), trained / method / "iter_10.pth"
    model = build(method).to("cuda")
    model.load_state_dict(torch.load(file, weights_only=True)["state_dict"])
    model.dataset_meta = data.metainfo
    data.full_init()
    few = torch.utils.data.Subset(data, range(2))
    results = analyse(model, few, str(file))
    assert {"tokens", "calibration"} <= results.keys()
    shown = [Method("here", model, data, [0])]
    for name in FIGURES.module_dict:
        figure = FIGURES.get(name)
        if isinstance(model.decode_head, figure.head):
            figure(shown)


def test_activations_are_computed_again() -> None:
    """With the same dropout as at the first time."""
    encoder: Any = build("zegclip").image_encoder.to("cuda").train()
    image, gradients = torch.randn(2, 3, 96, 96, device="cuda"), []
    for again in (False, True):
        encoder.checkpoint_activations = again
        torch.manual_seed(0)
        encoder.zero_grad()
        encoder(image)[0].square().sum().backward()
        gradients.append(encoder.prompts.grad.clone())
    encoder.checkpoint_activations = False
    encoder.eval()
    assert close(*gradients, 1e-4)
