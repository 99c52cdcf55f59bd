"""``--cfg-options``: what is typed counts, or is refused."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from tests.zegclip.engine.test_arguments import VOC, load
from zegclip.engine.config_options import ConfigOptions, check_options
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("[a photo of a {}., {}]", ["a photo of a {}.", "{}"]),
        ("paved road", "paved road"),
        ("['dining room', 'road (paved)']", ["dining room", "road (paved)"]),
        ("[(1, 2), [ a , b c ], 0.5, None, True]", [(1, 2), ["a", "b c"], 0.5, None, True]),
    ],
)
def test_spaces_within_a_word_stay(typed: str, value: Any) -> None:
    parser = ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=ConfigOptions)
    options = parser.parse_args(["--cfg-options", f"key={typed}"]).cfg_options
    assert options == {"key": value}
    if isinstance(value, list):  # and as tools pass a value on
        assert parser.parse_args(["--cfg-options", f"key={value}"]).cfg_options == options


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
