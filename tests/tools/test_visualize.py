"""tools/visualize.py on a few scenes of the mini benchmark: files, and messages before work."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

import ldvc  # noqa: F401
from zegclip.datasets.mini.scenes import make_scenes

ROOT = Path(__file__).parents[2]
CONFIG = "configs/{}_mini_inductive.py"
TAGCLIP = (CONFIG.format("tagclip"), "data/mini/mini_model.pth")
Draw = Callable[..., Path]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("scenes"), num_train=2, num_val=5, seed=0)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Config and checkpoint of methods as they start: their masks are CLIP's own similarity."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {"tagclip": TAGCLIP}
    for name, method, changes in (
        ("zegclip", "zegclip", {}),
        ("ldvc", "ldvc", {}),
        ("bare", "ldvc", {"model.decode_head.local_consensus": False}),
    ):
        cfg = Config.fromfile(ROOT / CONFIG.format(method))
        cfg.merge_from_dict(changes)
        init_default_scope("mmseg")
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.init_weights()
        torch.save({"state_dict": model.state_dict()}, folder / f"{name}.pth")
        config = folder / f"{method}_mini_{name}.py"
        cfg.dump(config)
        made[name] = (str(config), str(folder / f"{name}.pth"))
    return made


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scenes: Path) -> Draw:
    """Run the tool in this process; the path of what it is to write."""

    def run(*args: object, out: str = "figure.png") -> Path:
        options = [f"test_dataloader.dataset.{o}" for o in ("num_train=2", "num_val=5")]
        options += [f"test_dataloader.dataset.data_root={scenes}"]
        command = [*map(str, args), "--out", str(tmp_path / out), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["visualize.py", *command, "--cfg-options", *options])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "tools" / "visualize.py"), run_name="__main__")
        if stop.value.code != 0:
            raise stop.value
        return tmp_path / out

    return run


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


class TestFigures:
    def test_predictions_of_methods_side_by_side(
        self, draw: Draw, checkpoints: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture
    ) -> None:
        pairs = [*checkpoints["zegclip"], *checkpoints["tagclip"], *checkpoints["ldvc"]]
        figure = draw("predictions", *pairs, "--names", "val_00001", "val_00000")
        width, height = size(figure)
        assert width == 8 + 5 * (224 + 8) and 2 * 224 < height < 3.2 * 224
        assert "predictions: val_00001, val_00000" in capsys.readouterr().out

    def test_trust(self, draw: Draw) -> None:
        width, height = size(draw("trust", *TAGCLIP, "--images", 1, "--panel-height", 96))
        assert 3 * 96 < width < 4.2 * 96 and 96 < height < 4 * 96

    def test_attention(self, draw: Draw, checkpoints: dict[str, tuple[str, str]]) -> None:
        pairs = [*checkpoints["tagclip"], *checkpoints["ldvc"]]
        width, _ = size(draw("attention", *pairs, "--classes", "person", "--images", 1))
        assert 3 * 224 < width < 4 * 224

    def test_consensus_with_one_model_and_with_two(
        self, draw: Draw, checkpoints: dict[str, tuple[str, str]]
    ) -> None:
        one = draw("consensus", *checkpoints["ldvc"], "--images", 1, "--point", 10, 90)
        pairs = [*checkpoints["ldvc"], *checkpoints["bare"]]
        two = draw("consensus", *pairs, "--images", 1, out="two.png")
        assert size(one)[0] == size(two)[0] == 8 + 5 * (224 + 8)
        assert one.read_bytes() != two.read_bytes()

    def test_pdf(self, draw: Draw) -> None:
        figure = draw("trust", *TAGCLIP, "--images", 1, out="figure.pdf")
        assert figure.read_bytes().startswith(b"%PDF")


class TestMessages:
    def test_a_method_without_a_trusty_map(
        self, draw: Draw, checkpoints: dict[str, tuple[str, str]]
    ) -> None:
        with pytest.raises(SystemExit, match=r"ATMHead, has no trusty map; configs that have one:"):
            draw("trust", CONFIG.format("zegclip"), checkpoints["zegclip"][1])

    def test_it_names_the_configs_of_the_same_data(
        self, draw: Draw, checkpoints: dict[str, tuple[str, str]]
    ) -> None:
        with pytest.raises(SystemExit, match=r"have one: configs/ldvc_mini_inductive\.py$"):
            draw("consensus", CONFIG.format("zegclip"), checkpoints["zegclip"][1])

    def test_a_config_without_test_data(self, draw: Draw, tmp_path: Path) -> None:
        config = tmp_path / "tagclip_train.py"
        config.write_text(
            f"_base_ = {str(ROOT / TAGCLIP[0])!r}\n"
            "test_dataloader = dict(_delete_=True, dataset=dict(type='BaseSegDataset'))\n"
        )
        with pytest.raises(SystemExit, match="tagclip_train: a figure needs a test_dataloader"):
            draw("trust", config, TAGCLIP[1])

    def test_an_unknown_class(self, draw: Draw) -> None:
        with pytest.raises(SystemExit, match=r"--classes.*'soffa' \(did you mean 'sofa'\?\)"):
            draw("attention", *TAGCLIP, "--classes", "soffa")

    def test_an_unknown_image(self, draw: Draw) -> None:
        with pytest.raises(SystemExit, match=r"no image 'val_0001'.*did you mean val_00001"):
            draw("predictions", *TAGCLIP, "--names", "val_0001")

    def test_nothing_is_overwritten(self, draw: Draw, tmp_path: Path) -> None:
        (tmp_path / "figure.png").write_text("mine")
        with pytest.raises(SystemExit, match=r"figure\.png is there already: --force"):
            draw("trust", *TAGCLIP)
        assert (tmp_path / "figure.png").read_text() == "mine"
        assert size(draw("trust", *TAGCLIP, "--images", 1, "--force"))[0] > 600

    def test_a_checkpoint_of_another_method(
        self, draw: Draw, checkpoints: dict[str, tuple[str, str]], tmp_path: Path
    ) -> None:
        with pytest.raises(SystemExit, match=r"error: .*zegclip\.pth: "):
            draw("trust", TAGCLIP[0], checkpoints["zegclip"][1])
        assert not (tmp_path / "figure.png").exists()

    def test_columns_with_and_without_lcsa_are_what_they_say(
        self, draw: Draw, checkpoints: dict[str, tuple[str, str]]
    ) -> None:
        with pytest.raises(SystemExit, match="its model has local_consensus=False"):
            draw("consensus", *checkpoints["bare"])
        with pytest.raises(SystemExit, match="trained without LCSA .* but this one has it"):
            draw("consensus", *checkpoints["ldvc"], *checkpoints["ldvc"])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("trust", TAGCLIP[0]), "a CHECKPOINT belongs to each CONFIG"),
            (("trust", *TAGCLIP, "--titles", "a", "b"), "--titles: 2 for 1"),
            (("trust", *TAGCLIP, "--point", 1, 2), "--point is for the consensus"),
            (("trust", *TAGCLIP, "--images", 0), "--images must be at least 1"),
            (("trust", *TAGCLIP, "--panel-height", 3), "between 64 and 2048"),
        ],
    )
    def test_wrong_arguments(
        self,
        arguments: tuple[object, ...],
        message: str,
        draw: Draw,
        capsys: pytest.CaptureFixture,
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            draw(*arguments)
        assert stop.value.code == 2 and message in capsys.readouterr().err

    def test_help_has_an_example(self, draw: Draw, capsys: pytest.CaptureFixture) -> None:
        draw("--help")
        assert "python tools/visualize.py trust configs/" in capsys.readouterr().out
