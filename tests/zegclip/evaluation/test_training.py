"""Runs are told apart by how they were trained, and what differs is named."""

from __future__ import annotations

from typing import Any

import pytest

from zegclip.evaluation.training import changes, training_fingerprint, training_settings

CONFIG: dict[str, Any] = {
    "model": {"decode_head": {"type": "ATMHead"}, "test_cfg": {"mode": "whole"}},
    "train_dataloader": {"batch_size": 16, "num_workers": 4, "dataset": {"data_root": "here"}},
    "optim_wrapper": {"optimizer": {"lr": 1e-3}},
    "train_cfg": {"max_iters": 100, "val_interval": 50},
}


def joined(root: str) -> dict[str, Any]:
    return {"type": "ConcatDataset", "datasets": [{"data_root": root}, {"data_root": root}]}


JOINED = CONFIG["train_dataloader"] | {"dataset": joined("here")}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"work_dir": "x", "load_from": "y.pth"}, True),
        ({"model": CONFIG["model"] | {"test_cfg": {"mode": "slide"}}}, True),
        ({"train_cfg": {"max_iters": 100, "val_interval": 100}}, True),
        ({"custom_hooks": None}, True),
        ({"train_dataloader": CONFIG["train_dataloader"] | {"num_workers": 0}}, True),
        ({"train_dataloader": JOINED | {"dataset": joined("there")}}, True),
        ({"train_cfg": {"max_iters": 200}}, False),
        ({"train_cfg": {"max_epochs": 1}}, False),
        ({"optim_wrapper": {"optimizer": {"lr": 2e-3}}}, False),
        ({"model": {"decode_head": {"type": "ATMHead", "gamma": 0.3}}}, False),
        ({"auto_scale_lr": {"enable": True}}, False),
        ({"custom_hooks": [{"type": "EMAHook"}]}, False),
        ({"train_dataloader": CONFIG["train_dataloader"] | {"batch_size": 8}}, False),
    ],
)
def test_runs_of_which_one_takes_the_mean(change: dict[str, Any], same: bool) -> None:
    before = CONFIG | ({"train_dataloader": JOINED} if "there" in str(change) else {})
    assert (training_fingerprint(before | change) == training_fingerprint(before)) == same
    named = list(changes(training_settings(before), training_settings(before | change)))
    assert (named == []) == same


def test_a_schedule_in_epochs_counts() -> None:
    one, four = ({**CONFIG, "train_cfg": {"by_epoch": True, "max_epochs": n}} for n in (1, 4))
    assert training_fingerprint(one) != training_fingerprint(four)


def test_what_differs_is_named_by_the_configs_keys() -> None:
    other = CONFIG | {"optim_wrapper": {"optimizer": {"lr": 2e-3}}, "param_scheduler": [1]}
    assert list(changes(training_settings(CONFIG), training_settings(other))) == [
        "optim_wrapper.optimizer.lr (0.001 -> 0.002)",
        "param_scheduler (None -> [1])",
    ]
