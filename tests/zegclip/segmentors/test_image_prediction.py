"""Predictions made tile by tile, against all maps at full size."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.heads import HeadOutput, Prediction, upsample
from zegclip.segmentors import ImagePrediction, image_prediction, predictions_of_images
from zegclip.segmentors.bilinear import interpolate_grid, interpolate_points, taps
from zegclip.segmentors.refinement import PixelAdaptiveRefinement

CELL = 4
BOXES = [(top, left, top + 16, left + 14) for top in (0, 9) for left in (0, 10, 13)]
SIZE = (25, 27)


def to_prediction(output: HeadOutput) -> Prediction:
    """No linear function of the maps, so that it matters what comes first."""
    shift = torch.arange(output.mask_logits.shape[1])[:, None, None] / 50
    trust = output.extra_maps["trust"].sigmoid()
    return Prediction((output.mask_logits.sigmoid() - shift) * trust, {"trust": trust})


def windows_of(classes: int, batch: int = 1) -> list[tuple[list[Any], HeadOutput]]:
    """Groups of two overlapping windows of 16 x 14 pixels, padded to 16 x 16."""
    generator = torch.Generator().manual_seed(0)
    count = 2 * batch
    return [
        (
            BOXES[first : first + 2],
            HeadOutput(
                torch.randn(count, classes, 4, 4, generator=generator),
                {"trust": torch.randn(count, 2, 4, 4, generator=generator)[:, :1]},
            ),
        )
        for first in range(0, len(BOXES), 2)
    ]


def plain(groups: list[tuple[list[Any], HeadOutput]], image: int, batch: int) -> Prediction:
    """The definition: all maps at the windows' size, summed up at the image's."""
    totals: dict[str, Tensor] = {}
    counts = torch.zeros(SIZE)
    for boxes, output in groups:
        for index, (top, left, bottom, right) in enumerate(boxes):
            rows = slice(index * batch + image, index * batch + image + 1)
            at_pixels = to_prediction(
                HeadOutput(
                    upsample(output.mask_logits[rows], (16, 16)),
                    {"trust": upsample(output.extra_maps["trust"][rows], (16, 16))},
                )
            )
            for name, maps in {"": at_pixels.probabilities, **at_pixels.extra_maps}.items():
                total = totals.setdefault(name, torch.zeros(maps.shape[1], *SIZE))
                total[:, top:bottom, left:right] += maps[0, :, : bottom - top, : right - left]
            counts[top:bottom, left:right] += 1
    assert counts.min() >= 1
    return Prediction(totals[""] / counts, {"trust": totals["trust"] / counts})


@pytest.fixture(params=[2**20, 300], ids=lambda values: f"{values} values")
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(image_prediction._VALUES_AT_ONCE, "cpu", request.param)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("batch", [1, 2])
def test_maps_are_the_mean_over_windows(batch: int) -> None:
    groups = windows_of(5, batch)
    found = predictions_of_images(groups, SIZE, CELL, to_prediction)
    for image, prediction in enumerate(found):
        expected = plain(groups, image, batch)
        whole = prediction.whole()
        torch.testing.assert_close(whole.probabilities, expected.probabilities)
        torch.testing.assert_close(whole.extra_maps, expected.extra_maps)
        pixel = prediction.tile((11, 12, 12, 13)).probabilities
        torch.testing.assert_close(pixel[0], expected.probabilities[:, 11:12, 12:13])


def test_refinement_leaves_the_extra_maps() -> None:
    (plain_one,) = predictions_of_images(windows_of(5), SIZE, CELL, to_prediction)
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    (refined,) = predictions_of_images(windows_of(5), SIZE, CELL, to_prediction, images=image)
    torch.testing.assert_close(refined.whole().extra_maps, plain_one.whole().extra_maps)
    expected = PixelAdaptiveRefinement.of_size(SIZE)(image[0], plain_one.whole().probabilities)
    torch.testing.assert_close(refined.whole().probabilities, expected)
    torch.testing.assert_close(refined.tile((3, 5, 9, 30)).probabilities[0], expected[:, 3:9, 5:30])
    assert refined.labels({})[0].equal(expected.argmax(dim=0))


def test_another_process_gets_the_same_without_the_model() -> None:
    (prediction,) = predictions_of_images(
        windows_of(5), SIZE, CELL, lambda output: to_prediction(output)
    )
    other = pickle.loads(pickle.dumps(prediction))
    torch.testing.assert_close(other.whole(), prediction.whole())
    metainfo = {"ori_shape": (61, 83)}
    torch.testing.assert_close(other.labels(metainfo), prediction.labels(metainfo))


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(
    "metainfo",
    [
        {},
        {"ori_shape": (61, 83)},
        {"ori_shape": (9, 30, 3)},
        {"ori_shape": (1, 1)},
        {"ori_shape": (50, 41), "flip": True, "flip_direction": "horizontal"},
        {"ori_shape": (50, 41), "flip": True, "flip_direction": "diagonal"},
        {"flip": True, "flip_direction": "vertical", "img_padding_size": (2, 5, 1, 3)},
        {"ori_shape": (40, 40), "img_padding_size": (0, 7, 0, 5)},
    ],
)
def test_labels_are_arg_max_of_all_classes_at_the_original_size(metainfo: dict[str, Any]) -> None:
    groups = windows_of(12)
    (prediction,) = predictions_of_images(groups, SIZE, CELL, to_prediction)
    labels, maps = prediction.labels(metainfo)
    left, right, top, bottom = metainfo.get("img_padding_size", (0, 0, 0, 0))

    def original(maps: Tensor) -> Tensor:
        maps = maps[:, top : SIZE[0] - bottom, left : SIZE[1] - right]
        sides = {"horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}
        maps = maps.flip(sides.get(metainfo.get("flip_direction"), ()))
        size = tuple(metainfo.get("ori_shape", maps.shape[-2:])[:2])
        return F.interpolate(maps[None], size=size, mode="bilinear")[0]

    expected = plain(groups, 0, 1)
    assert torch.equal(labels, original(expected.probabilities).argmax(dim=0))
    torch.testing.assert_close(maps["trust"], original(expected.extra_maps["trust"]))


@pytest.mark.parametrize(("small", "large"), [(4, 64), (7, 50), (50, 7), (1, 3), (3, 1), (5, 5)])
def test_interpolation_is_torchs(small: int, large: int) -> None:
    maps, sides = torch.randn(small, 6, 3, dtype=torch.float64), taps(small, large)
    columns = taps(6, 20)
    expected = F.interpolate(maps.permute(2, 0, 1)[None], (large, 20), mode="bilinear")[0]
    found = interpolate_grid(maps, sides, columns).permute(2, 0, 1)
    torch.testing.assert_close(found, expected)
    part = interpolate_grid(maps, sides.at(slice(large // 2, None)), columns.at(slice(5, 9)))
    torch.testing.assert_close(part.permute(2, 0, 1), expected[:, large // 2 :, 5:9])
    y, x = torch.tensor([0, large - 1, large // 2]), torch.tensor([19, 3, 7])
    torch.testing.assert_close(
        interpolate_points(maps, sides.at(y), columns.at(x)), expected[:, y, x].T
    )


def test_little_travels_to_a_device() -> None:
    """Not the places of all pixels."""
    moved = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            result = func(*args, **(kwargs or {}))
            devices = {each.device.type for each in args if isinstance(each, Tensor)}
            if isinstance(result, Tensor) and devices == {"cpu"} and result.device.type == "meta":
                moved.append(result.numel())
            return result

    maps = torch.empty(4, 6, 3, device="meta")
    with Watch():
        found = interpolate_grid(maps, taps(4, 64), taps(6, 96))
    assert found.shape == (64, 96, 3) and found.device.type == "meta"
    assert sorted(moved) == [128, 128, 192, 192]  # two neighbours and their shares, by side


def test_no_maps_of_all_classes_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the image's size nor at the original's: 2 MB and 16 MB of float32 here."""
    monkeypatch.setitem(image_prediction._VALUES_AT_ONCE, "cpu", 2**14)
    classes, size = 128, (64, 64)
    windows = [((0, 0, *size), HeadOutput(torch.randn(1, classes, 4, 4)))]
    prediction = ImagePrediction(windows, size, 16, image_prediction.as_prediction)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.untyped_storage().nbytes())
            return result

    with Watch():
        labels, _ = prediction.labels({"ori_shape": (180, 180)})
    assert len(labels.unique()) > 10
    assert largest < 2**19
    with Watch():
        prediction.whole()
    assert largest == 4 * classes * 64 * 64  # (it does watch)
