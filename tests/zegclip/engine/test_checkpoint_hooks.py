"""Checkpoints are plain data, and nothing that a resumed run needs is lost on the way."""

from __future__ import annotations

import enum
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from zegclip.engine.checkpoint_hooks import restore_buffers, to_plain


class Points(Dataset):
    """Sixteen points on a line, with the kind of metainfo that is no plain data."""

    metainfo = dict(classes=("a", "b"), palette=np.arange(6).reshape(2, 3), ignore=np.int64(255))

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        x = torch.tensor([index / 16.0, 1.0])
        return dict(x=x, y=3 * x[:1] - 1)


class Line(BaseModel):
    """A regression, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [torch.nn.Linear(2, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1)]
        self.fit = torch.nn.Sequential(*layers)

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str) -> dict[str, torch.Tensor]:
        return dict(loss=(self.fit(x) - y).square().mean())


def make_runner(work_dir: Path, max_iters: int, resume: bool = False) -> Runner:
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        experiment_name=f"{work_dir.name}_{max_iters}",  # message hubs are kept by this name
        train_dataloader=dict(
            dataset=Points(),
            batch_size=4,
            num_workers=0,
            sampler=dict(type=DefaultSampler),
            collate_fn=dict(type="default_collate"),
        ),
        train_cfg=dict(by_epoch=False, max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.01)),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, begin=0, end=3, by_epoch=False),
            dict(type="PolyLR", power=0.9, eta_min=1e-3, begin=0, end=4, by_epoch=False),
        ],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
        custom_hooks=[dict(type="mmseg.PlainCheckpointHook"), dict(type="mmseg.ResumeHook")],
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=0),
        resume=resume,
    )


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    through = make_runner(tmp_path / "through", max_iters=4)
    through.train()
    make_runner(tmp_path / "halves", max_iters=2).train()
    resumed = make_runner(tmp_path / "halves", max_iters=4, resume=True)
    resumed.train()

    assert resumed.iter == through.iter == 4
    for name, value in through.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    for key in ("train/loss", "train/lr"):
        history, counts = resumed.message_hub.get_scalar(key).data
        expected, expected_counts = through.message_hub.get_scalar(key).data
        assert len(history) == 4
        np.testing.assert_array_equal(history, expected)
        np.testing.assert_array_equal(counts, expected_counts)

    first = torch.load(tmp_path / "through" / "iter_4.pth", weights_only=True)
    second = torch.load(tmp_path / "halves" / "iter_4.pth", weights_only=True)
    assert first["param_schedulers"] == second["param_schedulers"]
    assert first["optimizer"]["param_groups"] == second["optimizer"]["param_groups"]
    for index, state in first["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, second["optimizer"]["state"][index][name]), name

    log = "".join(file.read_text() for file in (tmp_path / "halves").glob("*/*.log"))
    assert "resumed epoch: 0, iter: 2" in log
    for complaint in ("skip resuming", "metainfo", "Could not safely load"):
        assert complaint not in log


def test_the_file_holds_plain_data_only(tmp_path: Path) -> None:
    make_runner(tmp_path / "plain", max_iters=2).train()
    # Neither numpy nor mmengine is on torch's own list of what may be loaded.
    loaded = torch.load(tmp_path / "plain" / "iter_2.pth", weights_only=True)
    assert loaded["meta"]["iter"] == 2
    assert loaded["meta"]["dataset_meta"] == dict(
        classes=("a", "b"), palette=[[0, 1, 2], [3, 4, 5]], ignore=255
    )
    assert set(loaded["state_dict"]) == set(Line().state_dict())
    assert loaded["message_hub"]["log_scalars"]["train/loss"]["log_history"].shape == (2,)


def test_a_resumed_checkpoint_runs_no_code(tmp_path: Path) -> None:
    make_runner(tmp_path / "w", max_iters=2).train()
    file = tmp_path / "w" / "iter_2.pth"
    content = torch.load(file, weights_only=True)
    content["meta"]["config"] = f"open({str(tmp_path / 'was_here')!r}, 'w')"
    torch.save(content, file)
    make_runner(tmp_path / "w", max_iters=4, resume=True).train()
    assert not (tmp_path / "was_here").exists()


def test_buffers_survive() -> None:
    buffer = HistoryBuffer([1.5, 2.5, 3.5], [1, 2, 1], max_length=7)
    restored = restore_buffers(to_plain({"loss": buffer, "old": 3}))
    assert restored["old"] == 3
    assert restored["loss"].max_length == 7
    for now, before in zip(restored["loss"].data, buffer.data, strict=True):
        assert now.dtype == before.dtype
        np.testing.assert_array_equal(now, before)
    restored["loss"].update(4.5)
    assert restored["loss"].current() == 4.5


class Colour(str, enum.Enum):
    RED = "red"


def test_plain_values_stay_and_others_become_plain() -> None:
    state = OrderedDict(weight=torch.nn.Parameter(torch.ones(2)))
    state._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]
    plain = to_plain({"state_dict": state, "n": np.float32(0.5), "c": Colour.RED, "t": (1, [None])})
    assert plain["n"] == 0.5 and type(plain["n"]) is float
    assert type(plain["c"]) is str and plain["c"] == "red"
    assert plain["t"] == (1, [None])
    assert plain["state_dict"]._metadata == {"": {"version": 2}}
    assert not plain["state_dict"]["weight"].requires_grad


def test_what_cannot_be_resumed_from_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match=r"checkpoint\.optimizer\.state is a .*Line"):
        to_plain({"optimizer": {"state": Line()}})
    assert isinstance(to_plain({"meta": {"env": Line()}})["meta"]["env"], str)
