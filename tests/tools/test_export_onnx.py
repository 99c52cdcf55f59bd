"""tools/export_onnx.py: the graph beside torch, what the tool writes, prints and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import export_onnx
import image_demo
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from support.onnx_graph import describe, export_program, write_onnx

from tests.zegclip.apis.models import SCENE, exported, files_of
from tests.zegclip.segmentors.test_zero_shot_segmentor import build
from zegclip.apis.onnx_inferencer import open_session, read_description
from zegclip.engine.load_model import choose_files, load_model
from zegclip.errors import InputError
from zegclip.evaluation.training import training_settings
from zegclip.heads import ATMHead, HeadOutput, Prediction


@pytest.mark.parametrize("method", ["tagclip", "ldvc", "training_free"])
def test_the_graph_is_torchs_for_all_sizes(method: str) -> None:
    """The tool has compared them. LDVC's 4x4 regions fit none of the odd grids."""
    model, path, printed = exported(method)
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == [f"{method}.onnx", f"{method}.pt2", "words.npz"]
    # Of the graph, and of torch's program, which takes no single row of patches.
    assert printed.count("other labels 0.00%") == 2 * (2 * len(export_onnx.CASES) - 1)
    assert f"written: {path}" in printed and "torch.onnx" not in printed  # the exporter's remarks
    session = open_session(path)
    shapes = {each.name: each.shape for each in session.get_inputs()}
    assert list(shapes) == ["image", "class_embeddings", "seen", "calibrated"]
    free = [shapes["image"][axis] for axis in (0, 2, 3)] + shapes["seen"]
    assert all(isinstance(side, str) for side in free)
    extra = ["trusty_map"] if method == "tagclip" else []
    assert [each.name for each in session.get_outputs()] == ["probabilities", *extra, "raised"]
    # Image encoder and head, not the text tower; nor where the code lay that exported it.
    parts = (model.image_encoder, model.decode_head)
    numbers = sum(parameter.numel() for part in parts for parameter in part.parameters())
    content = path.read_bytes()
    assert len(content) < 4 * numbers + 1_000_000
    assert b"site-packages" not in content and b"image_encoder.py" not in content
    found = read_description(session, "file")
    assert found["templates"] == list(model.text_encoder.templates)
    assert bool(found["vocabulary"]) == (method != "training_free")  # which has none of its own
    assert found["calibration"] == json.loads(json.dumps(model.decode_head.protocol(True)))


def test_all_kinds_of_route_attention(tiny_clip_config: Path, tmp_path: Path) -> None:
    """Learning routes, local enhancement, cosine masks: the head's other paths."""
    options = dict(routing="differentiable", local_kernel=3, masks="cosine", num_layers=1)
    decoder = dict(regions_per_side=4, topk=4, num_heads=4, feedforward_channels=16, **options)
    head = dict(type="ConsensusHead", decoder=decoder)
    model = build(tiny_clip_config, decode_head=head)
    write_onnx(model, export_program(model), tmp_path / "model.onnx", {})
    export_onnx.check(model, export_onnx.run_onnx(tmp_path / "model.onnx"))


def test_outputs_are_called_as_predict_calls_them(tiny_clip_config: Path, tmp_path: Path) -> None:
    """A head of one's own may make a map of others, and keep those to itself."""

    class OwnHead(ATMHead):
        def forward(self, *inputs: Any) -> HeadOutput:
            output = super().forward(*inputs)
            return output._replace(extra_maps={"inner": output.mask_logits[:, :1]})

        def predict(self, output: HeadOutput) -> Prediction:
            maps = {"one": output.extra_maps["inner"], "two": output.extra_maps["inner"] + 1}
            return super().predict(output)._replace(extra_maps=maps)

    decoder = {"num_layers": 1, "num_heads": 4, "feedforward_channels": 16}
    model = build(tiny_clip_config, decode_head={"type": OwnHead, "decoder": decoder}).eval()
    write_onnx(model, export_program(model), tmp_path / "model.onnx", {})
    outputs = open_session(tmp_path / "model.onnx").get_outputs()
    assert [each.name for each in outputs] == ["probabilities", "one", "two", "raised"]


def test_its_words_are_image_demos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(SCENE).save(tmp_path / "photo.png")
    model, out = str(exported("tagclip").path), tmp_path / "drawn.png"
    image_demo.main([str(tmp_path / "photo.png"), "--onnx", model, "--out", str(out)])
    assert "bottle" in capsys.readouterr().out and out.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((files_of("tagclip")[0], "none.pth"), "no checkpoint 'none.pth'"),
        (("none.py", files_of("tagclip")[1]), "no config 'none.py'"),
        ((*files_of("tagclip"), "--words", "cat, cat"), "twice"),
        ((files_of("training_free")[0],), "CLIP without training has no classes of its own"),
        ((files_of("zegclip")[0],), "names no trained checkpoint"),
    ],
)
def test_files_and_words_that_are_not_there(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        export_onnx.main([*arguments, "--out", "model.onnx"])


def test_a_model_is_exported_with_the_settings_of_its_training(tmp_path: Path) -> None:
    config, checkpoint = files_of("ldvc")
    cfg, content = Config.fromfile(config), torch.load(checkpoint, weights_only=True)
    cfg.model.decode_head.decoder.topk = 2
    content["meta"]["settings"] = training_settings(cfg)
    torch.save(content, tmp_path / "trained.pth")
    with pytest.raises(InputError, match=r"trained: model\.decode_head\.decoder\.topk \(2 -> "):
        export_onnx.main([config, str(tmp_path / "trained.pth"), "--out", str(tmp_path / "x.onnx")])
    assert not (tmp_path / "x.onnx").exists()


def test_calibration_that_a_file_cannot_hold(tmp_path: Path) -> None:
    config = tmp_path / "calibrated.py"
    base = files_of("training_free")[0]
    config.write_text(f"_base_ = {base!r}\nmodel = dict(decode_head=dict(gamma=0.1))\n")
    with pytest.raises(InputError, match="set gamma=0"):
        export_onnx.main([str(config), "--words", "cat", "--out", str(tmp_path / "model.onnx")])


def test_a_preprocessor_beside_the_model() -> None:
    model = load_model(*choose_files(*files_of("zegclip")), torch.device("cpu"))
    cfg, _ = choose_files(*files_of("zegclip"))
    expected = describe(cfg, model)
    cfg.data_preprocessor = cfg.model.pop("data_preprocessor")
    assert describe(cfg, model) == expected


def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another(model: Any, program: Any, path: Path, description: dict[str, Any]) -> None:
        shutil.copy(exported("ldvc").path, path)

    monkeypatch.setattr(export_onnx, "write_onnx", write_another)
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    with pytest.raises(InputError, match="what was exported and torch differ"):
        export_onnx.main([*files_of("zegclip"), "--out", str(out), "--check", "--words", "cat"])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
