"""Runs are told apart by how they were trained, and what differs is named."""

from __future__ import annotations

from pathlib import Path
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


SAMPLER = {"type": "InfiniteSampler", "shuffle": True}
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
        ({"train_dataloader": CONFIG["train_dataloader"] | {"sampler": SAMPLER}}, True),
        (
            {"train_dataloader": CONFIG["train_dataloader"] | {"sampler": {"shuffle": False}}},
            False,
        ),
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


def test_a_file_of_classes_counts_by_what_it_holds(tmp_path: Path) -> None:
    file, same = tmp_path / "names.txt", tmp_path / "same.txt"
    same.write_text("cat\ndog\n")
    file.write_text("cat\ndog\n")

    def settings(classes: Path) -> dict[str, Any]:
        dataset = {"metainfo": {"classes": str(classes)}}
        return training_settings({"train_dataloader": {"dataset": dataset}})

    before = settings(file)
    assert list(changes(before, settings(same))) == []
    file.write_text("cat\nsheep\n")
    assert list(changes(before, settings(file))) == [
        "train_dataloader.dataset.metainfo.classes.1 (dog -> sheep)"
    ]


def test_the_batch_that_a_rate_is_scaled_from_counts() -> None:
    one, two = ({"auto_scale_lr": {"enable": True, "base_batch_size": n}} for n in (16, 8))
    assert training_fingerprint(one) != training_fingerprint(two)
    for each in (one, two):  # where nothing is scaled, it is of no account
        each["auto_scale_lr"]["enable"] = False
    assert training_fingerprint(one) == training_fingerprint(two)


def test_a_schedule_in_epochs_counts() -> None:
    one, four = ({**CONFIG, "train_cfg": {"by_epoch": True, "max_epochs": n}} for n in (1, 4))
    assert training_fingerprint(one) != training_fingerprint(four)


def test_what_differs_is_named_by_the_configs_keys() -> None:
    other = CONFIG | {"optim_wrapper": {"optimizer": {"lr": 2e-3}}, "param_scheduler": [1]}
    assert list(changes(training_settings(CONFIG), training_settings(other))) == [
        "optim_wrapper.optimizer.lr (0.001 -> 0.002)",
        "param_scheduler (None -> [1])",
    ]
