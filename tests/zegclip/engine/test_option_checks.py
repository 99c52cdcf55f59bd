"""Misspelt types and options are named before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

import ldvc  # noqa: F401
import tagclip  # noqa: F401
from zegclip.engine import preflight
from zegclip.engine.option_checks import unknown_options
from zegclip.errors import InputError

CONFIGS = Path(__file__).parents[3] / "configs"


def changed(**changes: Any) -> Config:
    config = Config.fromfile(CONFIGS / "ldvc_mini_inductive.py")
    config.merge_from_dict({f"model.{key.replace('__', '.')}": v for key, v in changes.items()})
    return config


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_our_configs_have_none(path: Path) -> None:
    assert list(unknown_options(Config.fromfile(path).model)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"decode_head__num_region": 8},
            r"model\.decode_head \(ConsensusHead\) has no option 'num_region': did you mean 'num_r",
        ),
        (
            {"text_encoder__num_prompt": 4},
            r"model\.text_encoder \(PromptedTextEncoder\) has no option 'num_prompt': did you",
        ),
        (
            {"decode_head__trusty_target": "seen"},
            r"model\.decode_head .* has no option 'trusty_ta",
        ),
        ({"decode_hed": {}}, r"model \(ZeroShotSegmentor\) has no option 'decode_hed': did you"),
        (
            {"decode_head__type": "ConsensusHed"},
            r"model\.decode_head\.type='ConsensusHed' is not registered: did you mean "
            r"'ConsensusHead'\?; a module of your own must be named in custom_imports",
        ),
        (
            {"decode_head__loss__focal_wight": 1.0},
            r"model\.decode_head\.loss.* has no option 'focal_wight': did you mean 'focal_weight'",
        ),
    ],
)
def test_what_is_misspelt_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^error: {message}"):
        preflight(changed(**changes))


def test_all_of_them_at_once() -> None:
    with pytest.raises(InputError, match=r"'a2'[\s\S]*'a1'"):
        preflight(changed(decode_head__a1=1, text_encoder__a2=2))


def test_constructors_that_take_anything_are_left_alone() -> None:
    """mmseg's own models take words that they hand on."""
    assert list(unknown_options({"type": "ResNetV1c", "depth": 50, "num_stages": 4})) == []
    assert list(unknown_options({"type": dict, "anything": 1})) == []
