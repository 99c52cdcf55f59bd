"""Regions on the image on disk, and masks with and without LCSA."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ldvc import ConsensusHead, figures
from ldvc.figures import attended_regions, region_routes
from tests.zegclip.segmentors.test_zero_shot_segmentor import build
from tests.zegclip.visualization.fakes import PALETTE, FakeDataset, batch
from tests.zegclip.visualization.test_figures import colour_at, rows_of
from zegclip.errors import InputError
from zegclip.heads import match
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.visualization import FIGURES, Method
from zegclip.visualization.overlay import colour_labels

consensus = FIGURES.get("consensus")


def ldvc_model(clip: Path, lcsa: bool = True, **changes: Any) -> ZeroShotSegmentor:
    decoder = {"regions_per_side": 2, "topk": 1, "num_heads": 4, "feedforward_channels": 16}
    decoder["local_consensus"] = lcsa
    head = {"type": "ConsensusHead", "decoder": decoder}
    preprocessor = {"type": "mmseg.SegDataPreProcessor"}
    return build(clip, decode_head=head, data_preprocessor=preprocessor, **changes)


class FixedRoutes:
    """Regions, 2 x 2 over whatever grid: each attends to the next one, 2 to 3 and 0."""

    routes = torch.tensor([[[1, -1], [2, -1], [3, 0], [0, -1]]])

    def __call__(
        self, head: ConsensusHead, patches: torch.Tensor, *_: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        rows, columns = (torch.arange(side) // ((side + 1) // 2) for side in patches.shape[-2:])
        return self.routes, rows[:, None] * 2 + columns


@pytest.fixture
def fixed(tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(figures, "region_routes", FixedRoutes())
    return partial(ldvc_model, tiny_clip_config)


def test_regions_are_in_the_pixels_of_the_image_on_disk(fixed: Any) -> None:
    shown = attended_regions(fixed(), batch((32, 32), (64, 96)), (10.0, 50.0))
    assert shown.query == 2 and shown.routes == [3, 0]
    quarters = np.kron([[0, 1], [2, 3]], np.ones((32, 48), int))
    np.testing.assert_array_equal(shown.regions, quarters)


def test_what_is_padded_to_whole_patches_is_cut_off(fixed: Any) -> None:
    shown = attended_regions(fixed(), batch((13, 13)), (12.0, 12.0))  # patches of 8
    assert shown.query == 3 and shown.routes == [0]
    assert (shown.regions == 3).sum() == 5 * 5 and (shown.regions == 0).sum() == 8 * 8


def test_of_several_windows_the_one_around_the_point(fixed: Any) -> None:
    model = fixed(test_cfg={"mode": "slide", "crop_size": (32, 32), "stride": (32, 32)})
    shown = attended_regions(model, batch((32, 96)), (90.0, 5.0))
    assert shown.query == 1
    assert (shown.regions[:, :64] == -1).all() and (shown.regions[:16, 64:80] == 0).all()
    with pytest.raises(InputError, match=r"\(40.0, 35.0\) is outside the image of 96 x 32"):
        attended_regions(model, batch((32, 96)), (40.0, 35.0))


def test_routes_are_those_of_the_last_layer() -> None:
    decoder = {"regions_per_side": 2, "topk": 2, "num_heads": 4, "feedforward_channels": 16}
    head = ConsensusHead(16, decoder=decoder).eval()
    patches, cls, classes = torch.randn(2, 16, 4, 6), torch.randn(2, 16), torch.randn(3, 16)
    routes, region = region_routes(head, patches, cls, classes)
    tokens, anchors = patches.flatten(2).mT, head.text_adapter(match(classes, cls), classes)
    for layer in head.decoder.layers[:2]:
        tokens = layer(tokens, anchors, (4, 6))
    expected = head.decoder.layers[2].local_consensus.routes(tokens, (4, 6))
    torch.testing.assert_close(routes, expected)
    assert routes.shape == (2, 4, 2)
    assert region.tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2


def method(model: ZeroShotSegmentor, folder: Path, labels: list[list[int]]) -> Method:
    return Method("LDVC", model, FakeDataset(folder, labels), list(range(len(labels))))


def test_query_routes_and_masks(tiny_clip_config: Path, tmp_path: Path) -> None:
    model = ldvc_model(tiny_clip_config)
    ours = method(model, tmp_path, [[0, 0, 0, 2]])
    figure = consensus([ours])
    ((query, routes, truth, with_lcsa, without),) = rows_of(figure)
    assert query.get_xlabel() == "region of sofa" and routes.get_xlabel() == "1 of 4 regions"
    assert query.patches[-1].get_edgecolor()[:3] == pytest.approx((0.9, 0, 0), abs=0.01)
    assert query.patches[-1].get_x() > 7  # around the last stripe, the sofa
    dark = np.asarray(routes.images[1].get_array())[..., 3] > 0
    x, y, width, height = (int(side) for side in routes.patches[0].get_bbox().bounds)
    assert not dark[y : y + height, x : x + width].any()
    assert dark.sum() == dark.size - width * height
    assert colour_at(truth, 0.1) == PALETTE[0]
    # The same model with LCSA and with it switched off, which it is no more.
    expected = [ours.predict(0)]
    with model.decode_head.decoder.without_local_consensus():
        expected.append(ours.predict(0))
    for axes, sample in zip((with_lcsa, without), expected):
        colours = colour_labels(sample.pred_sem_seg.data[0].numpy(), PALETTE)
        np.testing.assert_array_equal(axes.images[1].get_array(), colours)
    assert "switched off at test time" in figure.get_supxlabel().replace("\n", " ")


def test_query_can_be_chosen(tiny_clip_config: Path, tmp_path: Path) -> None:
    ours = method(ldvc_model(tiny_clip_config), tmp_path, [[2, 2, 2, 1]])
    (by_class,) = rows_of(consensus([ours], classes=["bus"]))
    (by_point,) = rows_of(consensus([ours], point=(1.0, 1.0)))
    assert by_class[0].get_xlabel() == "region of bus"
    assert by_class[0].patches[-1].get_x() > 7 and by_point[0].patches[-1].get_x() == 0


def test_a_second_model_was_trained_without(tiny_clip_config: Path, tmp_path: Path) -> None:
    ours, bare = (
        method(ldvc_model(tiny_clip_config, lcsa=lcsa), tmp_path, [[0, 2]])
        for lcsa in (True, False)
    )
    figure = consensus([ours, bare])
    colours = colour_labels(bare.predict(0).pred_sem_seg.data[0].numpy(), PALETTE)
    np.testing.assert_array_equal(rows_of(figure)[0][4].images[1].get_array(), colours)
    assert "another model, trained without it" in figure.get_supxlabel().replace("\n", " ")
    for wrong in ([bare], [ours, ours]):
        with pytest.raises(InputError, match="one CONFIG CHECKPOINT pair of a model with LCSA"):
            consensus(wrong)
