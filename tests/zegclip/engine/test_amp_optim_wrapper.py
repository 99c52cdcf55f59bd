"""Mixed precision without a GPU."""

from __future__ import annotations

import pytest
import torch
from mmseg.registry import OPTIM_WRAPPERS

from zegclip.engine import AmpOptimWrapper

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="mmengine's own wrapper is used")


def build(model: torch.nn.Module, **kwargs: object) -> AmpOptimWrapper:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return OPTIM_WRAPPERS.build(dict(type="AmpOptimWrapper", optimizer=optimizer, **kwargs))


@pytest.mark.parametrize("dtype", [None, "bfloat16", "float16", torch.float16])
def test_computes_in_half_precision_and_updates_float32(dtype: str | torch.dtype | None) -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data.fill_(1.0)
    wrapper = build(model, loss_scale="dynamic", dtype=dtype, clip_grad=dict(max_norm=100.0))
    with wrapper.optim_context(model):
        out = model(torch.tensor([[0.25, 0.5]]))
    assert out.dtype == (torch.float16 if "float16" in str(dtype).split(".") else torch.bfloat16)
    wrapper.update_params(out.float().sum() / 4)
    assert model.weight.dtype == torch.float32
    assert model.weight.tolist() == [[0.96875, 0.9375]]


def test_float16_leaves_out_the_step_whose_gradients_overflow() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    before, wrapper = model.weight.tolist(), build(model, dtype="float16")
    wrapper.update_params(model(torch.full((1, 2), 1e38)).sum())
    assert model.weight.tolist() == before and wrapper.loss_scaler.get_scale() == 2.0**15


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_are_clipped_without_the_loss_scale(dtype: str) -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    wrapper = build(model, dtype=dtype, clip_grad=dict(max_norm=0.1))
    wrapper.update_params(model(torch.tensor([[3.0, 4.0]])).sum())
    moved = (before - model.weight).tolist()[0]
    assert moved == pytest.approx([0.5 * 0.1 * 0.6, 0.5 * 0.1 * 0.8], rel=1e-4)


@pytest.mark.parametrize("before", ["bfloat16", "float16"])
@pytest.mark.parametrize("after", ["bfloat16", "float16"])
def test_a_run_goes_on_in_either_type(before: str, after: str) -> None:
    model = torch.nn.Linear(2, 1)
    state = build(model, dtype=before).state_dict()
    other = build(model, dtype=after)
    other.optimizer.param_groups[0]["lr"] = 9.0
    other.load_state_dict(state)
    assert other.optimizer.param_groups[0]["lr"] == 0.5


def test_another_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in float64"):
        AmpOptimWrapper(
            dtype="float64", optimizer=torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        )
