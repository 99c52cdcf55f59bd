"""Whether a prepared data set is what its publishers describe: counts, sizes, labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import track

from zegclip.datasets import read_mask
from zegclip.datasets.images import image_size

from .coco_stuff import OFFICIAL_IDS
from .data_set import VOID, DataSet, Split


@dataclass
class Finding:
    """A finding: something of the data set that is not as published."""

    severity: str  # error (results would be wrong, or a run fails) or warning
    message: str
    files: list[str] = field(default_factory=list)  # relative to the data set

    def __str__(self) -> str:
        more = f" and {len(self.files) - 5} more" if len(self.files) > 5 else ""
        files = f"\n  {', '.join(self.files[:5])}{more}" if self.files else ""
        return f"{self.severity}: {self.message}{files}"


@dataclass
class Verification:
    """What was found of a data set; made by :func:`verify`."""

    data_set: DataSet
    root: Path
    counts: list[tuple[str, int, int]] = field(default_factory=list)  # what, found, published
    masks: int = 0  # that were opened
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))  # of each label
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """The findings that make results wrong or runs fail."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def add(self, message: str, files: Iterable[str] = (), severity: str = "error") -> None:
        """Note a finding."""
        self.findings.append(Finding(severity, message, sorted(files)))

    def count(self, what: str, found: int, published: int, known: str = "") -> None:
        """Compare a number with the published one; ``known``: why another one is no error."""
        self.counts.append((what, found, published))
        if found != published:
            message = f"{what}: {found:,}, published are {published:,}" + (known and f"; {known}")
            self.add(message, severity="warning" if known else "error")

    def files(self, folder: str, suffix: str) -> list[str]:
        """Names without the suffix, sorted, without hidden files (training skips them too)."""
        found = (self.root / folder).glob(f"[!.]*{suffix}")
        return sorted(path.name.removesuffix(suffix) for path in found)

    def names(self, split: Split) -> list[str]:
        """The image names of a split, compared with the published numbers."""
        if not split.lists:
            names = self.files(split.images, ".jpg")
            self.count(f"{split.images}/*.jpg", len(names), split.count)
            return names
        names = []
        for path, published in split.lists.items():
            file = self.root / path
            text = file.read_text("utf-8-sig", errors="replace") if file.is_file() else ""
            found = text.split()
            self.count(path, len(found), published, split.other_counts.get(len(found), ""))
            names += found
        return list(dict.fromkeys(names))

    def pairs(self, split: Split, names: Iterable[str]) -> list[tuple[str, str]]:
        """Image and mask of each name, relative to the root; what is not there is noted."""
        suffix = self.data_set.mask_suffix
        images = set(self.files(split.images, ".jpg"))
        folders = {
            name: folder for folder in reversed(split.masks) for name in self.files(folder, suffix)
        }
        pairs, no_image, no_mask = [], [], []
        for name in names:
            image = f"{split.images}/{name}.jpg"
            mask = f"{folders.get(name, split.masks[0])}/{name}{suffix}"
            if name not in images:
                no_image.append(image)
            elif name not in folders:
                no_mask.append(mask)
            else:
                pairs.append((image, mask))
        if no_image:
            self.add(f"{len(no_image)} images of {split.name} are not there", no_image)
        if no_mask:
            self.add(f"{len(no_mask)} images of {split.name} have no mask", no_mask)
        return pairs

    def check(self, split: Split, pairs: Collection[tuple[str, str]]) -> None:
        """Open images (their headers) and masks; each kind of mistake is noted once."""
        names, of_split = self.data_set.names, f"masks of {split.name}"
        unusable: list[str] = []
        wrong: dict[str, set[int]] = {}  # labels by mask
        with_label = np.zeros(256, int)  # number of masks
        for image, mask in track(pairs, of_split):
            try:
                labels = read_labels(self.root / image, self.root / mask)
            except Exception as error:  # an untrusted file: its reader may raise anything
                unusable.append(f"{mask} ({error})")
                continue
            with_label += labels[:256] > 0
            self.pixels += labels[:256]
            if unknown := set(np.flatnonzero(labels).tolist()) - set(names):
                wrong[mask] = unknown
        self.masks += len(pairs)
        if unusable:
            self.add(f"{len(unusable)} {of_split} cannot be used", unusable)
        if wrong:
            values = sorted(set().union(*wrong.values()))
            listed, rule = ", ".join(map(str, values[:5])), self.data_set.label_rule
            mistake = ""
            if self.data_set.key == "coco_stuff" and set(values) <= set(OFFICIAL_IDS):
                mistake = ": these are official ids, not train ids"
            elif values == [VOID]:
                mistake = (
                    ": these masks are shifted by one. Our configs subtract one themselves "
                    "(reduce_zero_label=True)"
                )
            self.add(f"{len(wrong)} {of_split} hold the labels {listed}; {rule}{mistake}", wrong)
        read = len(pairs) - len(unusable)
        if {0, VOID} <= self.data_set.ignored and 2 * with_label[0] < read:
            self.add(
                f"fewer than half of the {of_split} have a pixel of label 0 (background): they "
                "are shifted by one, background is 255"
            )
        elif split.void_within and read >= split.void_within and not with_label[VOID]:
            self.add(f"no mask of {split.name} has a void pixel (255): void was lost")


def read_labels(image_path: Path, mask_path: Path) -> np.ndarray:
    """Pixels of each value in a mask, at least 256 numbers.

    Raises:
        ValueError: it cannot be read as a mask, or has another size than its image.
    """
    mask, size = read_mask(mask_path), image_size(image_path)
    if mask.shape != size:
        raise ValueError(f"another size (H, W) than the image: {mask.shape}, image {size}")
    return np.bincount(mask.astype(int).ravel(), minlength=256)


def verify(data_set: DataSet, out: Path, sample: int | None = None) -> Verification:
    """Compare a data set with its description.

    Args:
        data_set: the description.
        out: the folder of all data sets.
        sample: open only this many masks of each split, evenly spread; counts, lists and the
            existence of files are always checked as a whole.
    """
    found = Verification(data_set, out / data_set.root)
    if not found.root.is_dir():
        found.add(f"there is no folder {found.root}")
        return found
    names = {split.name: found.names(split) for split in data_set.splits}
    if shared := set(names["train"]) & set(names["val"]):
        found.add(f"{len(shared)} images of val are in train: take them out of its list", shared)
    for folder, published in data_set.folders.items():
        suffix = ".jpg" if folder == "JPEGImages" else ".png"
        number = len(found.files(folder, suffix))
        found.count(f"{folder}/*{suffix}", number, published, "more than the splits use")
    for split in data_set.splits:
        pairs = found.pairs(split, names[split.name])
        if sample is not None and sample < len(pairs):
            pairs = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, sample)]
        found.check(split, pairs)
    classes = set(data_set.names) - data_set.ignored
    absent = [data_set.names[label] for label in sorted(classes) if not found.pixels[label]]
    if found.masks and sample is None and absent:
        message = f"{len(absent)} classes occur in no mask: {', '.join(absent[:10])}"
        found.add(message, severity="warning")
    return found
