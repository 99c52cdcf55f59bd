"""Label maps that another system predicted, as files: finding, reading and checking them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, UnidentifiedImageError

from zegclip.datasets.files import first_few
from zegclip.errors import InputError
from zegclip.vocabulary import IGNORE_INDEX as NO_CLASS

_UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,  # PIL's, for broken PNG chunks
    ValueError,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class PredictionFiles:
    """Which file belongs to which image.

    Attributes:
        found: by image path, the PNG.
        missing: names of the PNGs that are not there, relative to the folder.
        extra: PNGs that belong to no image, relative to the folder.
    """

    found: Mapping[str, Path]
    missing: Sequence[str]
    extra: Sequence[str]


def find_predictions(folder: Path, images: Sequence[str], image_root: str) -> PredictionFiles:
    """Find each image's prediction.

    An image ``ROOT/city/a.jpg`` has ``city/a.png`` (the images' folders, mirrored) or ``a.png``
    (flat, as ``tools/test.py --out`` writes).

    Args:
        folder: of the predictions.
        images: paths of the images.
        image_root: the folder that their mirrored names start from.

    Raises:
        InputError: there is no such folder or no PNG in it; or two images would have the same
            flat name, and it is there.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    present = {
        path.relative_to(folder).with_suffix(".png").as_posix(): path
        for path in files
        if path.suffix.lower() == ".png"
    }
    if not present:
        kinds = Counter(path.suffix.lower() for path in files)
        others = ", ".join(f"{n} {kind or 'without suffix'}" for kind, n in kinds.most_common(5))
        raise InputError(
            f"{folder} holds no PNG (but: {others or 'nothing'}); predictions are PNGs named after "
            "their image, one number a pixel"
        )
    found: dict[str, Path] = {}
    missing: list[str] = []
    owners: dict[str, str] = {}
    for image in images:
        mirrored = PurePath(os.path.relpath(image, image_root)).with_suffix(".png").as_posix()
        flat = PurePath(image).stem + ".png"
        name = next((name for name in (mirrored, flat) if name in present), None)
        if name is None:
            missing.append(mirrored)
        elif name in owners:
            raise InputError(
                f"{folder / name} would belong to {owners[name]} and to {image}: images of the "
                "same name need their folders mirrored below the predictions' folder"
            )
        else:
            owners[name] = image
            found[image] = present[name]
    extra = [name for name in present if name not in owners]
    return PredictionFiles(found, missing, extra)


@dataclass
class PredictionProblems:
    """What is wrong with prediction files, collected, for one message.

    Args:
        folder: of the predictions.
        num_classes: C.
    """

    folder: Path
    num_classes: int
    by_kind: dict[str, list[str]] = field(default_factory=dict)
    values: Counter[int] = field(default_factory=Counter)

    def add(self, kind: str, detail: str) -> None:
        """One file's problem."""
        self.by_kind.setdefault(kind, []).append(detail)

    def read(self, path: Path, shape: tuple[int, int]) -> np.ndarray | None:
        """A prediction that can be scored; None where it is a problem, which is kept.

        Args:
            path: a PNG of one channel: grey (8 or 16 bits), palette (indices are read) or black
                and white.
            shape: ``(H, W)`` of its image.

        Returns:
            ``(H, W)`` int64 of ids 0..C-1 and 255, "no class".
        """
        name = path.relative_to(self.folder).as_posix()
        try:
            with Image.open(path, formats=["PNG"]) as image:
                bands = image.getbands()
                # Pillow would stretch 2 and 4 bits of grey to 0..255.
                raw = image.tile[0].args if image.tile else ""
                raw = raw[0] if isinstance(raw, tuple) else raw
                labels = np.asarray(image)
        except _UNREADABLE as error:
            self.add("unreadable", f"{name} ({error})")
            return None
        if len(bands) != 1 or labels.ndim != 2:
            self.add("several channels", f"{name} ({''.join(bands)})")
            return None
        if image.mode == "L" and raw in ("L;2", "L;4"):
            self.add("grey of 2 or 4 bits (write 8)", name)
            return None
        fine = True
        if labels.shape != shape:
            ours, theirs = (f"{w}x{h}" for h, w in (labels.shape, shape))
            turned = ", turned by EXIF?" if labels.shape == shape[::-1] else ""
            self.add("another size than the image", f"{name} ({ours}, not {theirs}{turned})")
            fine = False
        labels = labels.astype(np.int64)
        values = np.unique(labels)
        if fine:  # labels of another size may be interpolated ones
            self.values.update(values.tolist())
        outside = values[((values < 0) | (values >= self.num_classes)) & (values != NO_CLASS)]
        if len(outside):
            few = first_few([str(value) for value in outside], 3)
            self.add("values outside the classes", f"{name} ({few})")
            fine = False
        return labels if fine else None

    def message(self) -> str:
        """All of it; empty if nothing is wrong."""
        lines = []
        for kind, details in self.by_kind.items():
            lines.append(f"{len(details)} x {kind}: {first_few(details)}")
            if mend := self._mend(kind):
                lines.append(f"   {mend}")
        return "\n".join(lines)

    def _mend(self, kind: str) -> str:
        if kind == "missing":
            return (
                "each image of the test split needs its PNG, or numbers would be of another "
                "protocol; to judge a part, give the config's test data set a shorter ann_file"
            )
        if kind == "several channels":
            return (
                "predictions are index masks, one number a pixel: replace each colour by its "
                "class's position and save an 8-bit grey or palette PNG"
            )
        if kind == "another size than the image":
            return (
                "predictions come in the size of the image file: scale the system's scores (or, "
                "with nearest-neighbour interpolation, its labels) back to it"
            )
        if kind == "values outside the classes":
            return self._value_mend()
        return ""

    def _value_mend(self) -> str:
        rule = (
            f"values are label ids 0..{self.num_classes - 1} in the data set's class order, and "
            f'{NO_CLASS} for "no class". '
        )
        count, values = self.num_classes, {value for value in self.values if value != NO_CLASS}
        if not values:
            return rule
        if max(values) == count and 0 not in values:
            return rule + f"These run 1..{count}: shifted by one? Subtract 1 from all but 255."
        if max(values) == count:
            return rule + (
                f"These run 0..{count}: is 0 the background, and are the classes shifted by one? "
                f"Then write value - 1, and {NO_CLASS} for 0."
            )
        return rule + "Another class list, or a palette's colours turned into grey?"
