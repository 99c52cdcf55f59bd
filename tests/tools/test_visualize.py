"""tools/visualize.py on a few scenes of the mini benchmark: files, and messages before work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import visualize
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from zegclip.errors import InputError

ROOT = Path(__file__).parents[2]
CONFIG = "configs/{}_mini_inductive.py"
TAGCLIP = (CONFIG.format("tagclip"), "data/mini/mini_model.pth")
Draw = Callable[..., Path]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Config and checkpoint of methods as they start: their masks are CLIP's own similarity."""
    pairs = {}
    for method in ("zegclip", "ldvc"):
        init_default_scope("mmseg")
        model = MODELS.build(Config.fromfile(ROOT / CONFIG.format(method)).model)
        model.init_weights()
        file = tmp_path_factory.mktemp(method) / "started.pth"
        torch.save({"state_dict": model.state_dict()}, file)
        pairs[method] = (CONFIG.format(method), str(file))
    return pairs


@pytest.fixture
def draw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Draw:
    """Run the tool in this process; the path of what it is to write."""

    scenes = tmp_path_factory.getbasetemp() / "scenes"  # drawn once

    def run(*args: object, out: str = "figure.png") -> Path:
        command = [*map(str, args), "--out", str(tmp_path / out), "--device", "cpu"]
        few = "test_dataloader.dataset.{}"
        options = ["--cfg-options", few.format("number=5"), few.format(f"data_root={scenes}")]
        monkeypatch.setattr(sys, "argv", ["visualize.py", *command, *options])
        visualize.main()
        return tmp_path / out

    return run


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def test_predictions_of_methods_side_by_side(
    draw: Draw, started: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture
) -> None:
    pairs = [*started["zegclip"], *TAGCLIP, *started["ldvc"]]
    width, height = size(draw("predictions", *pairs, "--names", "val_00001", "val_00000"))
    assert width == 8 + 5 * (224 + 8) and 2 * 224 < height < 3.5 * 224
    assert "predictions: val_00001, val_00000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figure", "options"),
    [("attention", ("--classes", "person")), ("consensus", ("--point", 10, 90))],
)
def test_figures_with_options(
    figure: str, options: tuple[object, ...], draw: Draw, started: dict[str, tuple[str, str]]
) -> None:
    assert size(draw(figure, *started["ldvc"], "--images", 1, *options))[1] > 224


def test_the_ending_says_the_format_and_nothing_is_overwritten(draw: Draw, tmp_path: Path) -> None:
    assert draw("trust", *TAGCLIP, "--images", 1, out="a/b.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "figure.png").write_text("mine")
    with pytest.raises(InputError, match=r"figure\.png is there already: --force"):
        draw("trust", *TAGCLIP)
    with pytest.raises(InputError, match=r"a\.txt: a figure's file ends in one of"):
        draw("trust", *TAGCLIP, out="a.txt")
    with pytest.raises(InputError, match="cannot be written"):
        draw("trust", *TAGCLIP, out="figure.png/a.png")
    assert (tmp_path / "figure.png").read_text() == "mine"
    width, _ = size(draw("trust", *TAGCLIP, "--images", 1, "--force", "--panel-height", 96))
    assert 3 * 96 < width < 4.2 * 96


def test_titles_tell_the_methods_apart() -> None:
    assert visualize.titles(["a/ldvc_voc.py", "mine_voc.py"], ["1.pth", "1.pth"]) == [
        "LDVC",
        "mine",
    ]
    titles = visualize.titles(["a/ldvc_voc.py", "ldvc_voc.py"], ["x/1.pth", "x/2.pth"])
    assert titles == ["ldvc_voc, 1", "ldvc_voc, 2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--classes", "soffa"), r"--classes.*'soffa' \(did you mean 'sofa'\?\)"),
        (("--names", "val_0001"), r"no image 'val_0001'.*did you mean val_00001"),
    ],
)
def test_unknown_words(arguments: tuple[str, ...], message: str, draw: Draw) -> None:
    with pytest.raises(InputError, match=message):
        draw("predictions", *TAGCLIP, *arguments)


def test_pairs_that_do_not_fit(
    draw: Draw, started: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="ATMHead, has no trust to show; a TrustyHead has"):
        draw("trust", *started["zegclip"])
    with pytest.raises(InputError, match=r"started\.pth: "):
        draw("trust", TAGCLIP[0], started["zegclip"][1])
    other = tmp_path / "other.py"
    dataset = "dict(metainfo=dict(classes=['cat', 'sofa']))"
    base = f"_base_ = {str(ROOT / TAGCLIP[0])!r}"
    other.write_text(f"{base}\ntest_dataloader = dict(dataset={dataset})\n")
    with pytest.raises(InputError, match="have other classes"):
        draw("predictions", *TAGCLIP, other, TAGCLIP[1])
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trust", TAGCLIP[0]), "a CHECKPOINT belongs to each CONFIG"),
        (("trust", *TAGCLIP, "--titles", "a", "b"), "--titles: 2 for 1"),
        (("trust", *TAGCLIP, "--point", 1, 2), "--point: the trust figure takes none"),
        (("trust", *TAGCLIP, "--images", 0), "--images must be at least 1"),
        (("trust_me", *TAGCLIP), "invalid choice"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[object, ...], message: str, draw: Draw, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        draw(*arguments)
    assert message in capsys.readouterr().err
