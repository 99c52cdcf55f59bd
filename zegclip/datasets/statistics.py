"""What the masks of a data set hold: pixels and images of each class, seen, unseen, ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

from .images import read_image
from .masks import read_labels


def count_mask(sample: Mapping[str, Any]) -> np.ndarray | str:
    """Pixels of each label of a sample's mask file, before a pipeline hides anything.

    The image is read as well, so that what would stop a training is found before.

    Args:
        sample: what :meth:`~zegclip.datasets.base.ZeroShotDataset.get_data_info` returns.

    Returns:
        (256,) counts, of which the last are ignored; of files that cannot be used, the message.
    """
    try:
        height, width, _ = read_image(sample["img_path"]).shape  # (half a JPEG has a whole header)
        labels = read_labels(sample, (height, width))
    except InputError as error:
        return str(error)
    return np.bincount(labels.reshape(-1), minlength=256).astype(np.int32)


def label_statistics(counts: Sequence[np.ndarray | str], vocabulary: Vocabulary) -> dict[str, Any]:
    """Sums over masks.

    Args:
        counts: of each mask, see :func:`count_mask`.
        vocabulary: the data set's classes and split.

    Returns:
        Plain data: ``masks`` (how many were counted), ``shares`` of all pixels that are ``seen``,
        ``unseen`` and ``ignored`` (0..1), ``images_with_unseen`` classes and
        ``images_without_seen`` ones, ``never`` (classes without a pixel), ``classes`` (each
        ``split``, ``pixels``, ``images``), ``problems``.
    """
    counted = [count for count in counts if not isinstance(count, str)]
    table = np.stack([*counted, np.zeros(256, np.int32)])[:-1]  # (masks, 256), maybe no masks
    seen, unseen = list(vocabulary.seen_ids), list(vocabulary.unseen_ids)
    pixels, images = table.sum(0, dtype=np.int64), (table > 0).sum(0)
    total = max(int(pixels.sum()), 1)
    parts = {"seen": seen, "unseen": unseen, "ignored": [IGNORE_INDEX]}
    return {
        "masks": len(counted),
        "shares": {name: int(pixels[ids].sum()) / total for name, ids in parts.items()},
        "images_with_unseen": int((table[:, unseen] > 0).any(1).sum()),
        "images_without_seen": int((table[:, seen] == 0).all(1).sum()),
        "never": [name for i, name in enumerate(vocabulary.classes) if not pixels[i]],
        "classes": {
            name: dict(
                split="unseen" if i in unseen else "seen",
                pixels=int(pixels[i]),
                images=int(images[i]),
            )
            for i, name in enumerate(vocabulary.classes)
        },
        "problems": sorted(count for count in counts if isinstance(count, str)),
    }
