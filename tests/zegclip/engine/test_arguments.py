"""Arguments of the tools: what is typed counts, or is refused."""

from __future__ import annotations

import os

import pytest
from mmengine.config import Config

from zegclip.engine.arguments import load_config, make_parser
from zegclip.errors import InputError

VOC = "configs/tagclip_voc_inductive.py"


def load(*arguments: str) -> Config:
    return load_config(make_parser("", "").parse_args(arguments))


def test_a_split_on_the_command_line() -> None:
    cfg = load(VOC, "--unseen", "cat", "dog")
    for name in ("train", "val", "test"):
        assert cfg[f"{name}_dataloader"].dataset.unseen == ["cat", "dog"]


def test_options_of_the_training_are_errors_in_a_test() -> None:
    for option in ("train_cfg.max_iters", "load_from"):
        arguments = make_parser("", "").parse_args([VOC, "--cfg-options", f"{option}=7"])
        with pytest.raises(InputError, match=rf"{option} \(of the training\)"):
            load_config(arguments, trains=False)


def test_deterministic_is_prepared_for_wherever_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    load(VOC)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    load(VOC, "--cfg-options", "randomness.deterministic=True")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_options_and_work_dir() -> None:
    cfg = load("tagclip_voc_inductive", "--cfg-options", "train_cfg.max_iters=7")
    assert cfg.train_cfg.max_iters == 7
    assert cfg.work_dir == "work_dirs/tagclip_voc_inductive"
    assert load(VOC, "--work-dir", "elsewhere").work_dir == "elsewhere"
