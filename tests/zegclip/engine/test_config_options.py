"""``--cfg-options``: what is typed counts, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from tests.zegclip.engine.test_launch import VOC, load
from zegclip.engine.config_options import check_options
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT


class TestOptionsThatNothingReads:
    @pytest.mark.parametrize(
        ("option", "meant"),
        [
            ("data_root", r"train_dataloader\.dataset\.data_root"),
            ("setting", r"train_dataloader\.dataset\.setting"),
            ("unseen", "--unseen"),
            ("runner_type", "no part of a run reads it"),
            ("crop_size", r"train_dataloader\.dataset\.pipeline\.\d\.crop_size"),
            ("test_pipeline", r"test_dataloader\.dataset\.pipeline"),
            ("vis_backends", r"visualizer\.vis_backends"),
            ("data_preprocessor.size", r"model\.data_preprocessor"),
            ("trian_cfg.max_iters", "set train_cfg"),
            ("load_form", "set load_from"),
            ("auto_scale_lr.enabled", r"set auto_scale_lr\.enable"),
            ("env_cfg.cudnn_bench", r"set env_cfg\.cudnn_benchmark"),
            ("qwertz", "no part of a run reads it$"),
        ],
    )
    def test_are_refused_with_the_key_that_counts(self, option: str, meant: str) -> None:
        with pytest.raises(InputError, match=rf"--cfg-options {option}.*{meant}"):
            load(VOC, "--cfg-options", f"{option}=1")

    def test_a_variable_of_a_config(self, tmp_path: Path) -> None:
        config = tmp_path / "split.py"
        config.write_text(
            f"_base_ = '{PROJECT_ROOT / VOC}'\nunseen = ['cat']\n"
            "train_dataloader = dict(dataset=dict(unseen=unseen))\n"
        )
        with pytest.raises(InputError, match=r"--unseen.*train_dataloader\.dataset\.unseen"):
            load(str(config), "--cfg-options", "unseen=['dog']")

    @pytest.mark.parametrize(
        "option",
        ["find_unused_parameters", "compile.mode", "train_cfg.max_iters",
         "model.decode_head.gamma", "env_cfg.mp_cfg.opencv_num_threads", "randomness.seed",
         "work_dir", "train_dataloader.dataset.pipeline.4.crop_size"],
    )  # fmt: skip
    def test_others_pass(self, option: str) -> None:
        check_options(Config.fromfile(PROJECT_ROOT / VOC), {option: 1})
