"""tools/visualize.py on a few scenes of the mini benchmark: files, and messages before work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import visualize
from PIL import Image

from tests.zegclip.apis.models import files_of
from zegclip.errors import InputError

TAGCLIP = files_of("tagclip")
Draw = Callable[..., Path]


@pytest.fixture
def draw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Draw:
    """Run the tool in this process; the path of what it is to write."""

    scenes = tmp_path_factory.getbasetemp() / "scenes"  # drawn once

    def run(*args: object, out: str = "figure.png") -> Path:
        command = [*map(str, args), "--out", str(tmp_path / out)]
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
    draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [*files_of("zegclip"), *TAGCLIP, *files_of("ldvc")]
    width, height = size(draw("predictions", *pairs, "--names", "test_00001", "test_00000"))
    assert 5 * 200 < width < 6 * 250 and 2 * 200 < height < 3 * 300
    assert "predictions: test_00001, test_00000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figure", "pair", "options"),
    [
        ("attention", "ldvc", ("--classes", "person")),
        ("consensus", "ldvc", ("--point", 10, 90)),
        ("trust", "tagclip", ("--titles", "mine")),
    ],
)
def test_figures_with_options(
    figure: str, pair: str, options: tuple[object, ...], draw: Draw
) -> None:
    written = draw(figure, *files_of(pair), "--images", 1, *options, out="a/b.pdf")
    assert written.read_bytes().startswith(b"%PDF")


def test_pixels_of_the_background_are_bare(draw: Draw, tmp_path: Path) -> None:
    config = tmp_path / "background.py"
    background = "dict(test_cfg=dict(background=dict(threshold=0.9)))"
    config.write_text(f"_base_ = {TAGCLIP[0]!r}\nmodel = {background}\n")
    size(draw("predictions", config, TAGCLIP[1], "--images", 1))


def test_pairs_that_do_not_fit(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ATMHead, has no trust to show; a TrustyHead has"):
        draw("trust", *files_of("zegclip"))
    with pytest.raises(InputError, match=r"--classes.*'soffa' \(did you mean 'sofa'\?\)"):
        draw("predictions", *TAGCLIP, "--classes", "soffa")
    with pytest.raises(InputError, match="0 images are nothing to draw"):
        draw("predictions", *TAGCLIP, "--images", 0)
    other = tmp_path / "other.py"
    dataset = "dict(metainfo=dict(classes=['cat', 'sofa']))"
    other.write_text(f"_base_ = {TAGCLIP[0]!r}\ntest_dataloader = dict(dataset={dataset})\n")
    with pytest.raises(InputError, match="have other classes"):
        draw("predictions", *TAGCLIP, other, TAGCLIP[1])
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.parametrize(
    ("arguments", "out", "message"),
    [
        (TAGCLIP[:1], "a.png", "a CHECKPOINT belongs to each CONFIG"),
        ((*TAGCLIP, "--titles", "a", "b"), "a.png", "--titles: 2 for 1"),
        ((*TAGCLIP, "--point", 1, 2), "a.png", "--point: the trust figure takes none"),
        (TAGCLIP, "a.txt", "a figure's file ends in one of"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[object, ...],
    out: str,
    message: str,
    draw: Draw,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        draw("trust", *arguments, out=out)
    assert message in capsys.readouterr().err
