"""Whether a prepared data set is what its publishers describe: counts, sizes, labels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from .coco_stuff import OFFICIAL_IDS
from .data_set import VOID, DataSet, Split


@dataclass
class Finding:
    """Something that is not as published.

    Attributes:
        severity: ``error`` (results would be wrong, or a run fails) or ``warning``.
        message: what is wrong.
        files: the ones concerned, relative to the data set.
    """

    severity: str
    message: str
    files: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = f" and {len(self.files) - 5} more" if len(self.files) > 5 else ""
        files = f"\n  {', '.join(self.files[:5])}{more}" if self.files else ""
        return f"{self.severity}: {self.message}{files}"


@dataclass
class Verification:
    """What was found of a data set.

    Attributes:
        counts: what was counted, found, published.
        masks: number of masks that were opened.
        pixels: of each label 0..255 in them.
        findings: what is wrong or odd.
    """

    counts: list[tuple[str, int, int]] = field(default_factory=list)
    masks: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: str, message: str, files: Iterable[str] = ()) -> None:
        """Note a finding."""
        self.findings.append(Finding(severity, message, sorted(files)))

    def count(self, what: str, found: int, published: int, severity: str = "error") -> None:
        """Compare a number with the published one."""
        self.counts.append((what, found, published))
        if found != published:
            self.add(severity, f"{what}: {found:,}, published are {published:,}")

    @property
    def errors(self) -> list[Finding]:
        """Those that make results wrong or runs fail."""
        return [finding for finding in self.findings if finding.severity == "error"]


def verify(data_set: DataSet, out: Path, sample: int | None = None) -> Verification:
    """Compare a data set with its description.

    Args:
        data_set: the description.
        out: the folder of all data sets.
        sample: open only so many masks of each split, evenly spread; counts, lists and the
            existence of files are always checked as a whole.
    """
    result, root = Verification(), out / data_set.root
    if not root.is_dir():
        result.add("error", f"there is no folder {root}")
        return result
    names = {split.name: _names(result, root, split) for split in data_set.splits}
    if shared := set(names["train"]) & set(names["val"]):
        message = f"{len(shared)} images are in the training list and in the validation list"
        result.add("error", f"{message}: take them out of the training list", shared)
    for folder, published in data_set.folders.items():
        suffix = ".jpg" if folder == "JPEGImages" else ".png"
        files = [name for name in _files(root / folder) if name.endswith(suffix)]
        result.count(f"{folder}/*{suffix}", len(files), published, "warning")
    for split in data_set.splits:
        pairs = _pairs(result, root, split, names[split.name], data_set.mask_suffix)
        if sample is not None and sample < len(pairs):
            pairs = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, sample)]
        _check_masks(result, data_set, root, split, pairs)
    classes = [label for label in data_set.names if label not in data_set.ignored]
    absent = [data_set.names[label] for label in classes if not result.pixels[label]]
    if result.masks and sample is None and absent:
        result.add("warning", f"{len(absent)} classes occur in no mask: {', '.join(absent[:10])}")
    return result


def _files(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _names(result: Verification, root: Path, split: Split) -> list[str]:
    """The image names of a split, compared with the published numbers."""
    if not split.lists:
        files = _files(root / split.images)
        names = sorted(name[:-4] for name in files if name.endswith(".jpg"))
        result.count(f"{split.images}/*.jpg", len(names), split.count)
        return names
    names = []
    for path, published in split.lists.items():
        file = root / path
        found = file.read_text(errors="replace").split() if file.is_file() else []
        if len(found) in split.other_counts:
            result.counts.append((path, len(found), published))
            result.add("warning", f"{path}: {split.other_counts[len(found)]}")
        else:
            result.count(path, len(found), published)
        names += found
    return list(dict.fromkeys(names))


def _pairs(
    result: Verification, root: Path, split: Split, names: Iterable[str], suffix: str
) -> list[tuple[str, str]]:
    """Image and mask of each name, relative to the root; what is not there is noted."""
    there = {folder: _files(root / folder) for folder in (split.images, *split.masks)}
    pairs, no_image, no_mask = [], [], []
    for name in names:
        folders = [folder for folder in split.masks if name + suffix in there[folder]]
        if f"{name}.jpg" not in there[split.images]:
            no_image.append(f"{split.images}/{name}.jpg")
        elif not folders:
            no_mask.append(f"{split.masks[0]}/{name}{suffix}")
        else:
            pairs.append((f"{split.images}/{name}.jpg", f"{folders[0]}/{name}{suffix}"))
    if no_image:
        result.add("error", f"{len(no_image)} images of {split.name} are not there", no_image)
    if no_mask:
        result.add("error", f"{len(no_mask)} images of {split.name} have no mask", no_mask)
    return pairs


def _check_masks(
    result: Verification,
    data_set: DataSet,
    root: Path,
    split: Split,
    pairs: list[tuple[str, str]],
) -> None:
    """Open images (their headers) and masks; each kind of mistake is noted once."""
    allowed = set(data_set.names)
    unusable: dict[str, list[str]] = {}  # by the reason
    with_label = np.zeros(256, int)  # number of masks
    wrong: dict[str, set[int]] = {}  # labels by mask
    for image, mask in track(pairs, f"masks of {split.name}"):
        try:
            labels = _read_labels(root / image, root / mask)
        except Exception as error:  # an untrusted file: its reader may raise anything
            reason = str(error) if type(error) is ValueError else "image or mask cannot be read"
            unusable.setdefault(reason.partition(": ")[0], []).append(f"{mask} ({error})")
            continue
        with_label += labels[:256] > 0
        result.pixels += labels[:256]
        if unknown := set(np.flatnonzero(labels).tolist()) - allowed:
            wrong[mask] = unknown
    result.masks += len(pairs)
    for reason, files in unusable.items():
        result.add("error", f"{len(files)} masks of {split.name}: {reason}", files)
    if wrong:
        listed = sorted(set().union(*wrong.values()))
        what = f"{len(wrong)} masks of {split.name} hold the labels {str(listed[:5])[1:-1]}"
        mistake = _mistake(data_set, set(listed))
        result.add("error", f"{what}; {data_set.label_rule}{mistake}", wrong)
    read = len(pairs) - sum(map(len, unusable.values()))
    if VOID in allowed and 0 in data_set.ignored and 2 * with_label[0] < read:
        result.add(
            "error",
            f"fewer than half of the masks of {split.name} have a pixel of label 0 (background): "
            "they are shifted by one, background is 255",
        )
    elif split.void_within and read >= split.void_within and not with_label[VOID]:
        result.add("error", f"no mask of {split.name} has a void pixel (255): void was lost")


def _read_labels(image_path: Path, mask_path: Path) -> np.ndarray:
    """Pixels of each value in a mask, at least 256 numbers.

    Raises:
        ValueError: it has several channels, negative values or another size than its image.
        OSError: a file cannot be read.
    """
    with Image.open(image_path) as image, Image.open(mask_path) as mask:
        if mask.size != image.size:
            raise ValueError(f"another size than the image: {mask.size}, image {image.size}")
        if len(mask.getbands()) > 1:
            raise ValueError(f"several channels, painted in colours: {mask.mode}")
        return np.bincount(np.asarray(mask).astype(int).ravel(), minlength=256)


def _mistake(data_set: DataSet, labels: set[int]) -> str:
    """What labels that may not occur come from, if it is a usual mistake."""
    if data_set.key == "coco_stuff" and labels <= set(OFFICIAL_IDS):
        return ": these are official ids, not train ids"
    if labels == {VOID}:
        return (
            ": these masks are shifted by one. Our configs subtract one themselves "
            "(reduce_zero_label=True)"
        )
    return ""
