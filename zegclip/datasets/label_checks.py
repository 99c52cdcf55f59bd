"""What a label map must be before training or a metric trusts it."""

from __future__ import annotations

import numpy as np

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX


def check_label_map(
    label: np.ndarray,
    num_classes: int,
    file: str,
    reduce_zero_label: bool = False,
    image_shape: tuple[int, ...] | None = None,
) -> None:
    """Refuse a label map that would be misread.

    Costs one histogram of the image.

    Args:
        label: as read from the file, before any mapping: ``(H, W)`` integers.
        num_classes: classes of the file, not counting what is ignored.
        file: the label file, for the message.
        reduce_zero_label: whether 0 is ignored and the classes are ``1..num_classes``; else they
            are ``0..num_classes - 1``. 255 is always "ignored".
        image_shape: ``(H, W, ...)`` of the image that it labels; ``None``: not compared.

    Raises:
        InputError: several channels, another size than the image, a value outside the classes.
    """
    if label.ndim != 2:
        _refuse_channels(label, file)
    if image_shape is not None and label.shape != tuple(image_shape[:2]):
        height, width = image_shape[:2]
        turned = label.shape == (width, height)
        raise InputError(
            f"{file}: the label map is {label.shape[1]}x{label.shape[0]} pixels (width x height), "
            f"its image {width}x{height}"
            + (" (turned by the photograph's EXIF orientation?)" if turned else "")
            + "; each pixel of the image needs its label"
        )
    first = int(reduce_zero_label)
    values, counts = _histogram(label)
    allowed = (values >= 0) & (values < num_classes + first) | (values == IGNORE_INDEX)
    if allowed.all():
        return
    bad = values[~allowed]
    named = ", ".join(str(value) for value in bad[:5]) + (", …" if len(bad) > 5 else "")
    raise InputError(
        f"{file}: {int(counts[~allowed].sum())} pixels have the label {named}, but the "
        f"{num_classes} classes are {first}..{num_classes - 1 + first} "
        f"({'0 and 255 are' if reduce_zero_label else '255 is'} ignored). "
        + _hint(bad, num_classes, reduce_zero_label)
    )


def _histogram(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values that occur, ascending, and how often."""
    if label.dtype == np.uint8:
        counts = np.bincount(label.reshape(-1), minlength=256)
        values = np.flatnonzero(counts)
        return values, counts[values]
    return np.unique(label, return_counts=True)


def _hint(bad: np.ndarray, num_classes: int, reduce_zero_label: bool) -> str:
    if not reduce_zero_label and list(bad) == [num_classes]:
        return (
            "Shifted by one? If 0 is background in these masks, set reduce_zero_label=True on the "
            "data set."
        )
    return (
        "Another class list than these masks were made with, or masks shifted by one "
        f"(reduce_zero_label={reduce_zero_label})?"
    )


def _refuse_channels(label: np.ndarray, file: str) -> None:
    channels = label.shape[2] if label.ndim == 3 else 0
    if channels < 2:
        raise InputError(f"{file}: a label map must be (height, width), this is {label.shape}")
    colours = label[..., : min(channels, 3)]
    if (colours == colours[..., :1]).all():
        mend = (
            "its channels are equal, so keep the first: "
            f"PIL.Image.open({file!r}).getchannel(0).save(...)"
        )
    else:
        mend = (
            "replace each colour by its class index (for masks drawn in a palette's colours: "
            "index = (mask[:, :, None] == palette).all(-1).argmax(-1)) and save that as an "
            "8-bit grey or palette PNG"
        )
    raise InputError(
        f"{file}: {channels} channels (an RGB mask), where an index mask with one number a pixel "
        f"is due; {mend}"
    )
