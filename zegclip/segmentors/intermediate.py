"""What lies between an image and its prediction, at the image's size, for figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from zegclip.heads import HeadPrediction, upsample

from .restoring import restored, without_padding
from .sliding_window import Box, average_windows

if TYPE_CHECKING:
    from .zero_shot_segmentor import EncodedWindows, ZeroShotSegmentor

Rectangle = tuple[float, float, float, float]


class ImageRegions(NamedTuple):
    """Regions of one window of an image; rectangles are (left, top, right, bottom) in pixels.

    Attributes:
        rectangles: of every region of the window, row by row; ``None`` for a region of padding.
        region: index of the one that was asked for.
        routes: indices of those that it attends to, most alike first.
        regions_a_side: rows and columns of regions.
    """

    rectangles: list[Rectangle | None]
    region: int
    routes: list[int]
    regions_a_side: tuple[int, int]


def attention_maps(model: ZeroShotSegmentor, data: dict[str, Any]) -> list[Tensor]:
    """See :meth:`ZeroShotSegmentor.attention_maps`."""
    data = model.data_preprocessor(data, False)
    inputs, size = data["inputs"], data["inputs"].shape[-2:]
    classes, patch_size = model.class_embeddings(), model.image_encoder.patch_size

    def maps_of(group: EncodedWindows) -> HeadPrediction:
        output = model.decode_head(group.patch_embeddings, group.cls_embedding, classes)
        rows, columns = group.patch_embeddings.shape[-2:]
        maps = model.decode_head.attention_maps(output)
        top, left, bottom, right = group.boxes[0]
        maps = upsample(maps, (rows * patch_size, columns * patch_size))
        return HeadPrediction(maps[..., : bottom - top, : right - left])

    windows = ((group.boxes, maps_of(group)) for group in model.encode_windows(inputs))
    maps = average_windows(windows, tuple(size)).probabilities
    results = []
    for index, sample in enumerate(data["data_samples"]):
        info = sample.metainfo
        rows, columns = without_padding(info, size)
        inner = maps[index : index + 1, :, rows, columns]
        flip = info.get("flip_direction") if info.get("flip") else None
        results.append(restored(inner, info.get("ori_shape", inner.shape[-2:])[:2], flip))
    return results


def region_at(
    model: ZeroShotSegmentor, data: dict[str, Any], point: tuple[float, float]
) -> ImageRegions:
    """See :meth:`ZeroShotSegmentor.region_at`."""
    data = model.data_preprocessor(data, False)
    inputs, (sample,) = data["inputs"], data["data_samples"]
    rows, columns = without_padding(sample.metainfo, inputs.shape[-2:])
    height, width = sample.metainfo.get("ori_shape", inputs.shape[-2:])[:2]
    # Of a pixel of the image in one of what the model is given.
    scale_x, scale_y = (columns.stop - columns.start) / width, (rows.stop - rows.start) / height
    x, y = columns.start + point[0] * scale_x, rows.start + point[1] * scale_y

    def off_centre(box: Box) -> float:
        return max(abs((box[0] + box[2]) / 2 - y), abs((box[1] + box[3]) / 2 - x))

    group, index = min(
        (
            (group, index)
            for group in model.encode_windows(inputs)
            for index in range(len(group.boxes))
        ),
        key=lambda candidate: off_centre(candidate[0].boxes[candidate[1]]),
    )
    one = slice(index, index + 1)
    shown = model.decode_head.region_routes(
        group.patch_embeddings[one], group.cls_embedding[one], model.class_embeddings()
    )
    window, patch_size = group.boxes[index], model.image_encoder.patch_size

    def rectangle(tokens: Box) -> Rectangle | None:
        top, left, bottom, right = (side * patch_size for side in tokens)
        bottom, right = min(bottom, window[2] - window[0]), min(right, window[3] - window[1])
        if top >= bottom or left >= right:
            return None
        return (
            (window[1] + left - columns.start) / scale_x,
            (window[0] + top - rows.start) / scale_y,
            (window[1] + right - columns.start) / scale_x,
            (window[0] + bottom - rows.start) / scale_y,
        )

    rectangles = [rectangle(box) for box in shown.boxes]

    def outside(place: Rectangle) -> float:  # pixels; at most 0 in the region itself
        left, top, right, bottom = place
        return max(left - point[0], point[0] - right, top - point[1], point[1] - bottom)

    places = {number: place for number, place in enumerate(rectangles) if place is not None}
    region = min(places, key=lambda number: outside(places[number]))
    routes = [route for route in shown.routes[0, region].tolist() if route >= 0]
    return ImageRegions(rectangles, region, routes, shown.regions_a_side)
