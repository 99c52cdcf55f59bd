"""The prediction for an image: kept at the patch grid, brought to pixels where it is asked for.

The probabilities of all classes at all pixels are gigabytes for a photograph and COCO-Stuff. After
upsampling everything is pixel-wise; so a tile of an image is upsampled, turned into probabilities
and averaged over windows while it is in the cache, and only its result, such as its labels, is
kept. Refinement along the image's edges alone needs the whole maps, at the size that the model saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from zegclip.heads import HeadOutput, Prediction

from .bilinear import Taps, interpolate_grid, interpolate_points, taps
from .refinement import PixelAdaptiveRefinement
from .sliding_window import Box, image_axes, original_size, to_original

# Numbers that a tile holds at once, by kind of device: a CPU's cache is small.
_VALUES_AT_ONCE = {"cpu": 2**19, "cuda": 2**26}
_PER_PIXEL = 8  # numbers beside the class maps that a pixel of the result takes


class ImagePrediction:
    """The prediction of one image.

    Args:
        windows: boxes in the image, and the head's maps of each, ``(1, K, h, w)``.
        size: (H, W) of the image, as the model saw it.
        cell: pixels of a map's cell, the patch size; a window may be smaller than its maps, which
            were padded to whole patches.
        to_prediction: turns upsampled maps into probabilities; must be pixel-wise.
        average_logits: where windows overlap, average the maps themselves, not the probabilities.
        image: ``(3, H, W)``: the maps are then refined along its edges (the extra maps are not).

    Example:
        >>> (prediction,) = model.decode_windows(model.encode_windows(image), (512, 683))
        >>> labels, maps = prediction.labels({"ori_shape": (3000, 4000)})
        >>> prediction.tile((0, 0, 1, 1)).probabilities.shape  # of the first pixel
        torch.Size([1, 171, 1, 1])
    """

    def __init__(
        self,
        windows: Iterable[tuple[Box, HeadOutput]],
        size: tuple[int, int],
        cell: int,
        to_prediction: Callable[[HeadOutput], Prediction],
        average_logits: bool = False,
        image: Tensor | None = None,
    ) -> None:
        self.size = size
        self._cell = cell
        self._to_prediction = to_prediction
        self._average_logits = average_logits
        self._image = image
        self._refine = PixelAdaptiveRefinement.of_size(size) if image is not None else None
        # Classes last: a cell's values lie side by side.
        self._windows = [
            (box, _last(output.mask_logits), {k: _last(v) for k, v in output.extra_maps.items()})
            for box, output in windows
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled are the maps of all pixels, not the model that makes them."""
        probabilities, extra_maps = self.whole()
        maps = {name: each[None].cpu() for name, each in extra_maps.items()}
        whole = ((0, 0, *self.size), HeadOutput(probabilities[None].cpu(), maps))
        return ImagePrediction, ([whole], self.size, 1, as_prediction)

    def tile(self, box: Box) -> Prediction:
        """Maps of a part of the image, ``(1, K, h, w)``; where windows overlap, their mean.

        Args:
            box: (top, left, bottom, right), pixels.

        Source: ZegCLIP, published code (window 512, stride 426).
        """
        # Refinement looks around the tile.
        reach = self._refine.reach if self._refine else 0
        top, left = max(0, box[0] - reach), max(0, box[1] - reach)
        around = (top, left, min(self.size[0], box[2] + reach), min(self.size[1], box[3] + reach))
        maps, extra_maps = self._at_pixels(around)
        if self._refine and self._image is not None:
            image = self._image[:, top : around[2], left : around[3]]
            rows = slice(box[0] - top, box[2] - top)
            columns = slice(box[1] - left, box[3] - left)
            maps = self._refine(image, maps[0])[None, :, rows, columns]
            extra_maps = {name: each[..., rows, columns] for name, each in extra_maps.items()}
        if self._average_logits:
            return self._to_prediction(HeadOutput(maps, extra_maps))
        return Prediction(maps, extra_maps)

    def _at_pixels(self, box: Box) -> tuple[Tensor, Mapping[str, Tensor]]:
        """A part of the image: the mean over windows of their maps, or of their probabilities."""
        size = (box[2] - box[0], box[3] - box[1])
        if self._average_logits:
            return _mean(self._parts(box), size)
        predicted = ((at, self._to_prediction(output)) for at, output in self._parts(box))
        return _mean(predicted, size)

    def _parts(self, box: Box) -> Iterator[tuple[Box, HeadOutput]]:
        """The windows' maps of a tile at pixels, each with its place in the tile."""
        for window, logits, extra_maps in self._windows:
            top, left = max(window[0], box[0]), max(window[1], box[1])
            bottom, right = min(window[2], box[2]), min(window[3], box[3])
            if top >= bottom or left >= right:
                continue
            rows, columns = (
                taps(cells, cells * self._cell).at(slice(first - start, last - start))
                for cells, first, last, start in (
                    (logits.shape[0], top, bottom, window[0]),
                    (logits.shape[1], left, right, window[1]),
                )
            )
            output = HeadOutput(
                _first(interpolate_grid(logits, rows, columns)),
                {k: _first(interpolate_grid(v, rows, columns)) for k, v in extra_maps.items()},
            )
            place = (top - box[0], left - box[1], bottom - box[0], right - box[1])
            yield place, output

    def refined(self) -> ImagePrediction:
        """The same prediction with all of its maps refined at once, and kept at pixels."""
        if self._refine is None or self._image is None:
            return self
        box = (0, 0, *self.size)
        maps, extra_maps = self._at_pixels(box)
        output = HeadOutput(self._refine(self._image, maps[0])[None], extra_maps)
        to_prediction = self._to_prediction if self._average_logits else as_prediction
        return ImagePrediction([(box, output)], self.size, 1, to_prediction, self._average_logits)

    def whole(self) -> Prediction:
        """All maps of the whole image, ``(K, H, W)``: of many classes, gigabytes."""
        if self._refine:
            return self.refined().whole()
        probabilities = torch.empty(0)
        extra_maps: dict[str, Tensor] = {}
        for top, left, bottom, right in _tiles(self.size, self._side(), self._side()):
            tile = self.tile((top, left, bottom, right))
            if not probabilities.numel():
                classes = tile.probabilities.shape[1]
                probabilities = tile.probabilities.new_empty(classes, *self.size)
            probabilities[:, top:bottom, left:right] = tile.probabilities[0]
            self._keep(extra_maps, tile, (top, left, bottom, right))
        return Prediction(probabilities, extra_maps)

    def labels(self, metainfo: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The most probable class of each pixel of the image on disk, and the extra maps there.

        The same as arg-max over all classes' maps of that size. They are convex combinations of
        four neighbours, so where the four have one best class it is the pixel's as well; only for
        the others all classes are computed.

        Args:
            metainfo: of the image's sample; see :func:`to_original`.

        Returns:
            ``(H0, W0)`` int64, and maps ``(K, H0, W0)`` by name.
        """
        if self._refine:  # (a tile of its own would need most of the image around it)
            return self.refined().labels(metainfo)
        axes = image_axes(metainfo, self.size)
        size = original_size(metainfo, (len(axes[0]), len(axes[1])))
        scales = [large / len(axis) for axis, large in zip(axes, size)]
        side = self._side(math.prod(scales))
        steps = [max(1, round(side * scale)) for scale in scales]
        # Taps of the original's pixels in the image that the model was given.
        found = [taps(len(axis), large) for axis, large in zip(axes, size)]
        rows, columns = (Taps(axis[each.index], each.weight) for axis, each in zip(axes, found))
        labels = torch.empty(0, dtype=torch.int64)
        extra_maps: dict[str, Tensor] = {}
        for top, left, bottom, right in _tiles(size, *steps):
            of_rows, of_columns = rows.at(slice(top, bottom)), columns.at(slice(left, right))
            (upper, lower), (first, last) = of_rows.bounds(), of_columns.bounds()
            tile = self.tile((upper, first, lower, last))
            if not labels.numel():
                labels = labels.new_empty(size, device=tile.probabilities.device)
            labels[top:bottom, left:right] = _largest(
                tile.probabilities[0].permute(1, 2, 0),
                of_rows.within(upper),
                of_columns.within(first),
            )
            self._keep(extra_maps, tile, (upper, first, lower, last))
        return labels, {name: to_original(maps, metainfo) for name, maps in extra_maps.items()}

    def _side(self, scale: float = 0.0) -> int:
        """Side of a square tile of the image, pixels, so that its maps stay in the cache.

        Args:
            scale: pixels of the result for each of the tile's.
        """
        maps = self._windows[0][1]
        numbers = maps.shape[-1] + _PER_PIXEL * scale
        return max(1, math.isqrt(int(_values_at_once(maps) / numbers)))

    def _keep(self, extra_maps: dict[str, Tensor], tile: Prediction, box: Box) -> None:
        """Write a tile's extra maps into those of the whole image."""
        for name, maps in tile.extra_maps.items():
            if name not in extra_maps:
                extra_maps[name] = maps.new_zeros(maps.shape[1], *self.size)
            extra_maps[name][:, box[0] : box[2], box[1] : box[3]] = maps[0]


def as_prediction(output: HeadOutput) -> Prediction:
    """A prediction of maps that are probabilities already."""
    return Prediction(output.mask_logits, output.extra_maps)


def predictions_of_images(
    groups: Iterable[tuple[Sequence[Box], HeadOutput]],
    size: tuple[int, int],
    cell: int,
    to_prediction: Callable[[HeadOutput], Prediction],
    average_logits: bool = False,
    images: Tensor | None = None,
) -> list[ImagePrediction]:
    """The predictions of a batch of images.

    Args:
        groups: boxes of windows and their maps ``(len(boxes) * B, K, h, w)``, laid out as
            :func:`~zegclip.segmentors.cut_windows` does.
        size: see :class:`ImagePrediction`.
        cell: see there.
        to_prediction: see there.
        average_logits: see there.
        images: as ``image`` there, ``(B, 3, H, W)``.
    """
    windows: list[list[tuple[Box, HeadOutput]]] = []
    for boxes, output in groups:
        batch = len(output.mask_logits) // len(boxes)
        windows = windows or [[] for _ in range(batch)]
        for index in range(len(output.mask_logits)):
            own = slice(index, index + 1)
            maps = {name: each[own] for name, each in output.extra_maps.items()}
            box, of_image = boxes[index // batch], windows[index % batch]
            of_image.append((box, HeadOutput(output.mask_logits[own], maps)))
    return [
        ImagePrediction(each, size, cell, to_prediction, average_logits, image)
        for each, image in zip(windows, repeat(None) if images is None else images)
    ]


def _mean(
    parts: Iterable[tuple[Box, HeadOutput | Prediction]], size: tuple[int, int]
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Maps of a tile and its extra maps, the mean of parts with their places in it."""
    found = list(parts)
    if len(found) == 1:  # it covers the tile, as windows cover the image
        return found[0][1][:2]
    sums: dict[str, Tensor] = {}
    counts = found[0][1][0].new_zeros(size)
    for (top, left, bottom, right), (first, extra_maps, *_) in found:
        for name, maps in {"": first, **extra_maps}.items():
            if name not in sums:
                zeros = maps.new_zeros(1, *size, maps.shape[1])
                sums[name] = zeros.permute(0, 3, 1, 2)
            sums[name][..., top:bottom, left:right] += maps
        counts[top:bottom, left:right] += 1
    means = {name: total.div_(counts) for name, total in sums.items()}
    return means.pop(""), means


def _largest(probabilities: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Arg-max over ``(h, w, C)`` at the pixels of rows and columns, ``(R, S)`` int64."""
    best = probabilities.max(dim=2).indices  # (on a CPU twice as fast as argmax)
    rows, columns = rows.to(best.device), columns.to(best.device)
    upper, lower = best[rows.index[:, 0]], best[rows.index[:, 1]]
    first, second = columns.index.unbind(1)
    labels, differs = upper[:, first], upper != lower
    unsure = differs[:, first] | differs[:, second] | (upper[:, second] != labels)
    at_once = max(1, _values_at_once(probabilities) // probabilities.shape[2])
    for pixels in unsure.nonzero().split(at_once):  # synchronises with the GPU
        y, x = pixels.unbind(1)
        values = interpolate_points(probabilities, rows.at(y), columns.at(x))
        labels[y, x] = values.max(dim=1).indices
    return labels


def _tiles(size: tuple[int, int], height: int, width: int) -> Iterator[Box]:
    """Boxes of at most that height and width that cover an image."""
    for top in range(0, size[0], height):
        for left in range(0, size[1], width):
            yield top, left, min(top + height, size[0]), min(left + width, size[1])


def _values_at_once(like: Tensor) -> int:
    return _VALUES_AT_ONCE.get(like.device.type, _VALUES_AT_ONCE["cuda"])


def _last(maps: Tensor) -> Tensor:
    """``(1, K, h, w)`` -> contiguous ``(h, w, K)``, at least float32, without gradient."""
    # In half precision a sigmoid of 9 is 1, and arg-max would choose by class order.
    maps = maps.detach().to(torch.promote_types(maps.dtype, torch.float32))
    return maps[0].permute(1, 2, 0).contiguous()


def _first(maps: Tensor) -> Tensor:
    """``(h, w, K)`` -> ``(1, K, h, w)``, a view."""
    return maps.permute(2, 0, 1)[None]
