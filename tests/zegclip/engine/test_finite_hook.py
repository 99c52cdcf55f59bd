"""A number that went wrong ends a training, or in float16 a step."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmseg.structures import SegDataSample

from zegclip.engine import FiniteHook
from zegclip.errors import InputError


def runner(folder: Path, scaled: bool = False, weight: float = 1.0) -> Any:
    (folder / "last_checkpoint").write_text("w/iter_6.pth")
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(weight)
    wrapper = SimpleNamespace(loss_scaler=torch.amp.GradScaler("cpu", enabled=scaled))
    logger = logging.getLogger("test_finite_hook")
    return SimpleNamespace(
        iter=6, work_dir=str(folder), model=model, optim_wrapper=wrapper, logger=logger
    )


BATCH = {
    "data_samples": [SegDataSample(metainfo={"img_path": name}) for name in ("a.jpg", "b.jpg")]
}


def step(hook: FiniteHook, runner: Any, value: float) -> None:
    losses = {"loss": torch.tensor(1.0), "loss_mask": torch.tensor(value)}
    hook.after_train_iter(runner, 6, BATCH, losses)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_names_iteration_loss_images_and_checkpoint(tmp_path: Path, value: float) -> None:
    step(FiniteHook(), runner(tmp_path), 2.0)
    said = rf"iteration 7: loss_mask is {value} \(images a.jpg, b.jpg\).*w/iter_6.pth"
    with pytest.raises(InputError, match=said):
        step(FiniteHook(), runner(tmp_path), value)


def test_float16_goes_on_for_a_while(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hook, scaled = FiniteHook(), runner(tmp_path, scaled=True)
    for value in [float("inf")] * 19 + [1.0] + [float("inf")] * 19:
        step(hook, scaled, value)
    assert caplog.text.count("leaves this step out") == 38
    with pytest.raises(InputError, match="iteration 7"):
        step(hook, scaled, float("inf"))


def test_gradients_that_no_scale_makes_finite(tmp_path: Path) -> None:
    hook, scaled = FiniteHook(), runner(tmp_path, scaled=True)
    step(hook, scaled, 1.0)
    scaled.optim_wrapper.loss_scaler.load_state_dict(
        scaled.optim_wrapper.loss_scaler.state_dict() | {"scale": 2.0**-11}
    )
    with pytest.raises(InputError, match="iteration 7: gradients are not finite"):
        step(hook, scaled, 1.0)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    checkpoint = {"meta": {"iter": 7}}
    FiniteHook().before_save_checkpoint(runner(tmp_path), checkpoint)
    with pytest.raises(InputError, match=r"iteration 7: the weight weight is not.*w/iter_6.pth"):
        FiniteHook().before_save_checkpoint(runner(tmp_path, weight=float("inf")), checkpoint)
