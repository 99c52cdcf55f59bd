"""Exported files in ONNX Runtime against torch, for sizes and class counts of all kinds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS

from zegclip.datasets.mini.scenes import make_scene
from zegclip.errors import InputError
from zegclip.export import OnnxModel, compare, describe, export_onnx, open_session, read_description
from zegclip.export.comparison import speed
from zegclip.vocabulary import Vocabulary

ROOT = Path(__file__).parents[3]
METHODS = ("zegclip", "tagclip", "ldvc")
# Images, rows and columns of patches, classes. LDVC's 4x4 regions fit none of the odd grids, and
# in the smallest most regions are padding.
CASES = (
    (1, 16, 16, 20),
    (2, 16, 16, 3),
    (1, 9, 22, 1),
    (3, 7, 5, 64),
    (1, 1, 2, 2),
    (1, 33, 18, 5),
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", METHODS)
def test_probabilities_and_arg_max_are_torchs(
    export_method: Callable[[str], Any], method: str, case: tuple[int, int, int, int]
) -> None:
    exported = export_method(method)
    images, rows, columns, classes = case
    patch = exported.model.image_encoder.patch_size
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(images, 3, rows, columns, generator=generator)
    image = F.interpolate(coarse, scale_factor=patch, mode="bilinear")
    rows_of_t = torch.randn(classes, exported.model.image_encoder.embed_dims, generator=generator)
    embeddings = F.normalize(rows_of_t, dim=-1)
    check(exported, image, embeddings)


def check(exported: Any, image: torch.Tensor, embeddings: torch.Tensor) -> None:
    with torch.no_grad():
        expected = [maps.numpy() for maps in OnnxModel(exported.model)(image, embeddings)]
    feed = {"image": image.numpy(), "class_embeddings": embeddings.numpy()}
    found = open_session(exported.path).run(None, feed)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape and ours.dtype == np.float32
        assert np.abs(ours - theirs).max() <= 1e-3
    assert expected[0].shape == (len(image), len(embeddings), *image.shape[-2:])
    nearest = np.sort(expected[0], axis=1)[:, -2:]
    sure = (nearest[:, -1] - nearest[:, 0] > 1e-5) | (len(embeddings) == 1)
    assert np.array_equal(found[0].argmax(1)[sure], expected[0].argmax(1)[sure])


@pytest.mark.parametrize("method", METHODS)
def test_a_scene_and_its_words(export_method: Callable[[str], Any], method: str) -> None:
    exported = export_method(method)
    exported.model.set_vocabulary(
        Vocabulary(("cat", "bus", "a pink lorry"), setting="cross_dataset")
    )
    data = {
        "inputs": [torch.from_numpy(make_scene("val", 3)[0].image[..., ::-1].copy()).movedim(2, 0)]
    }
    image = exported.model.data_preprocessor(data, False)["inputs"]
    check(exported, image, exported.model.class_embeddings())


@pytest.mark.parametrize(("method", "outputs"), [("zegclip", 1), ("tagclip", 2), ("ldvc", 1)])
def test_what_is_in_a_file(export_method: Callable[[str], Any], method: str, outputs: int) -> None:
    exported = export_method(method)
    session = open_session(exported.path)
    image, embeddings = session.get_inputs()
    assert (image.name, embeddings.name) == ("image", "class_embeddings")
    assert image.shape[1] == 3 and embeddings.shape[1] == exported.description.embed_dims
    for free in (image.shape[0], image.shape[2], image.shape[3], embeddings.shape[0]):
        assert isinstance(free, str)
    names = [output.name for output in session.get_outputs()]
    assert names == ["probabilities", "trusty_map"][:outputs]
    # Image encoder and head, not the text tower.
    parts = (exported.model.image_encoder, exported.model.decode_head)
    numbers = sum(parameter.numel() for part in parts for parameter in part.parameters())
    text = sum(parameter.numel() for parameter in exported.model.text_encoder.parameters())
    assert text > numbers / 10
    content = exported.path.read_bytes()
    assert len(content) < 4 * numbers + 1_000_000
    # Nor where the code lay on the machine that exported it.
    assert b"site-packages" not in content and b"image_encoder.py" not in content
    metadata = session.get_modelmeta().custom_metadata_map
    assert read_description(metadata, "file") == exported.description
    assert exported.description.patch_size == 6
    assert exported.description.test_cfg["mode"] == "whole"
    assert exported.description.templates == ("a photo of a {}",)


def test_all_kinds_of_route_attention(tmp_path: Path) -> None:
    """Learning routes, local enhancement, cosine masks: the head's other paths."""
    cfg = Config.fromfile(ROOT / "configs" / "ldvc_mini_inductive.py")
    cfg.model.decode_head.update(
        routing="differentiable", local_kernel=3, masks="cosine", num_layers=1
    )
    torch.manual_seed(0)
    cfg.model.decode_head.aligned_start = None
    model = MODELS.build({**cfg.model, "_scope_": "mmseg"}).eval()
    path = tmp_path / "model.onnx"
    export_onnx(model, path, describe(cfg, model), opset=20)
    assert [part.version for part in onnx.load(path).opset_import if part.domain == ""] == [20]
    results = list(compare(model, path, [(1, 16, 16, 20), (2, 7, 9, 3)]))
    assert [result.equal for result in results] == [True, True]


def test_compare_tells_another_model(export_method: Callable[[str], Any]) -> None:
    exported = export_method("zegclip")
    model = copy.deepcopy(exported.model)
    assert all(result.equal for result in compare(model, exported.path))
    with torch.no_grad():
        model.decode_head.relationship_descriptor.projection.weight.mul_(1.5)
    results = list(compare(model, exported.path))
    assert not any(result.equal for result in results)
    assert all(result.difference > 1e-3 for result in results)
    assert results[0].other_labels > 0


def test_speed_measures_both(export_method: Callable[[str], Any]) -> None:
    exported = export_method("zegclip")
    threads = torch.get_num_threads()
    own, other = speed(exported.model, exported.path, (1, 4, 4, 2), repeats=2)
    assert own > 0 and other > 0
    assert torch.get_num_threads() == threads


def test_a_head_that_depends_on_sizes_is_refused(
    export_method: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = export_method("zegclip")
    model = copy.deepcopy(exported.model)
    forward = type(model.decode_head).forward
    monkeypatch.setattr(
        type(model.decode_head),
        "forward",
        lambda self, patches, cls, embeddings: (
            forward(self, patches, cls, embeddings)
            if int(embeddings.sum()) > 3
            else forward(self, patches, cls, -embeddings)
        ),
    )
    with pytest.raises(InputError, match="ATMHead cannot be exported"):
        export_onnx(model, tmp_path / "model.onnx", exported.description)
    assert list(tmp_path.iterdir()) == []
    assert torch.backends.mha.get_fastpath_enabled()
