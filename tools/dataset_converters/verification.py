"""Whether a prepared data set is what its publishers describe: counts, sizes, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .description import VOID, DataDescription, Split
from .files import sizes_in
from .label_rules import Finding, findings_of_labels
from .pair_check import Pair, PairCheck, check_pair
from .work import Work


@dataclass
class Verification:
    """What was found.

    Attributes:
        key: of the data set.
        root: its folder.
        sample: how many masks of each split were opened at most; ``None``: all.
        counts: images by split and files by folder, found and published.
        histogram: pixels by label, of all masks that were opened.
        findings: what is wrong or odd.
    """

    key: str
    root: str
    sample: int | None
    counts: list[dict[str, Any]] = field(default_factory=list)
    histogram: list[int] = field(default_factory=lambda: [0] * 256)
    masks_opened: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """Those that make results wrong or runs fail."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def never(self, description: DataDescription) -> list[str]:
        """Classes without a pixel in any mask that was opened."""
        classes = set(description.names) - description.ignored
        return [description.names[i] for i in sorted(classes) if not self.histogram[i]]


def verify(work: Work, sample: int | None = None) -> Verification:
    """Compare a data set in ``work.out`` with its description.

    Args:
        work: its archives are not used.
        sample: open only so many masks of each split, evenly spread over its names; counts, lists
            and the existence of files are always checked as a whole.

    Returns:
        All findings; none of them is raised.
    """
    description = work.description
    result = Verification(description.key, str(work.root), sample)
    if not work.root.is_dir():
        result.findings.append(
            Finding(
                "error", "missing", "", f"there is no folder {work.root}",
                f"prepare it, or say --out:\n{description.how_to_get(out=str(work.out))}",
            )
        )  # fmt: skip
        return result
    listings = Listings(work.root)
    names = {split.name: _names(work.root, split, listings, result) for split in description.splits}
    _compare_splits(names, result)
    for folder, published in description.folders.items():
        _count_folder(folder, published, listings, result)
    for split in description.splits:
        pairs = _pairs(work, split, names[split.name], listings, result)
        chosen = _spread(pairs, sample)
        checks = list(
            work.parallel(
                f"masks of {split.name}",
                partial(check_pair, allowed=description.allowed),
                chosen,
                len(chosen),
            )
        )
        result.findings += findings_of_labels(description, split, checks, work.out)
        result.masks_opened += len(checks)
        _add_histogram(result, checks)
    if result.masks_opened and sample is None and (never := result.never(description)):
        result.findings.append(
            Finding(
                "warning", "classes_without_pixels", "",
                f"{len(never)} classes occur in no mask: {', '.join(never[:10])}"
                + (" …" if len(never) > 10 else ""),
                "if the counts above are complete, compare the masks with the archive's: prepare "
                "them again with --force",
            )
        )  # fmt: skip
    return result


class Listings:
    """The files of folders, each folder listed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._found: dict[str, dict[str, int]] = {}

    def __getitem__(self, folder: str) -> dict[str, int]:
        if folder not in self._found:
            self._found[folder] = sizes_in(self.root / folder)
        return self._found[folder]

    def with_suffix(self, folder: str, suffix: str) -> list[str]:
        """Names without the suffix, sorted."""
        cut = len(suffix)
        return sorted(name[:-cut] for name in self[folder] if name.endswith(suffix))


def _names(root: Path, split: Split, listings: Listings, result: Verification) -> list[str]:
    """The image names of a split; what is wrong with lists and counts is noted."""
    if not split.lists:
        names = listings.with_suffix(split.image_folder, ".jpg")
        _count(result, split, split.image_folder, len(names), split.count)
        return names
    names = []
    for path, published in split.lists.items():
        file = root / path
        if not file.is_file():
            result.findings.append(
                Finding("error", "missing", split.name, f"there is no list {file}", _AGAIN)
            )
            _count(result, None, path, 0, published)
            continue
        found = list(dict.fromkeys(file.read_text(encoding="utf-8", errors="replace").split()))
        _count(result, split, path, len(found), published)
        names += found
    return list(dict.fromkeys(names))


_AGAIN = (
    "prepare again with the same --out: what is there is kept, what is missing comes from the "
    "archives (--force also replaces masks and lists that differ)"
)


def _count(result: Verification, split: Split | None, what: str, found: int, due: int) -> None:
    result.counts.append({"what": what, "found": found, "published": due})
    if split is None or found == due:
        return
    message = f"{what} has {found:,} images, published are {due:,}"
    if found in split.other_counts:
        finding = Finding(
            "warning", "count", split.name, f"{message}: {split.other_counts[found]}", ""
        )
    else:
        finding = Finding("error", "count", split.name, message, _AGAIN)
    result.findings.append(finding)


def _count_folder(folder: str, due: int, listings: Listings, result: Verification) -> None:
    """Folders that hold more than the splits use: another number is worth a word only."""
    suffix = ".jpg" if folder == "JPEGImages" else ".png"
    found = len(listings.with_suffix(folder, suffix))
    result.counts.append({"what": f"{folder}/*{suffix}", "found": found, "published": due})
    if found != due:
        message = f"{folder} has {found:,} files *{suffix}, published are {due:,}"
        result.findings.append(Finding("warning", "count", "", message, _AGAIN))


def _compare_splits(names: dict[str, list[str]], result: Verification) -> None:
    shared = sorted(set(names.get("train", ())) & set(names.get("val", ())))
    if shared:
        result.findings.append(
            Finding(
                "error", "overlap", "train",
                f"{len(shared)} images are in the training and in the validation lists",
                "take them out of the training lists: the scores would be of images trained on",
                shared,
            )
        )  # fmt: skip


def _pairs(
    work: Work, split: Split, names: Sequence[str], listings: Listings, result: Verification
) -> list[Pair]:
    """Image and mask of each name; what is not there is noted."""
    suffix, raw = work.description.mask_suffix, work.description.raw_mask_suffix
    pairs: list[Pair] = []
    no_image: list[str] = []
    no_mask: list[str] = []
    not_converted: list[str] = []
    for name in names:
        image = f"{name}.jpg"
        folder = next((f for f in split.mask_folders if name + suffix in listings[f]), None)
        if image not in listings[split.image_folder]:
            no_image.append(f"{split.image_folder}/{image}")
        elif folder is None:
            there = raw and any(name + raw in listings[f] for f in split.mask_folders)
            (not_converted if there else no_mask).append(
                f"{split.mask_folders[0]}/{name}{raw if there else suffix}"
            )
        else:
            pairs.append(
                Pair(
                    f"{folder}/{name}{suffix}",
                    str(work.root / split.image_folder / image),
                    str(work.root / folder / (name + suffix)),
                )
            )
    for kind, files, what, mend in (
        ("missing_image", no_image, "images are not there", _AGAIN),
        ("missing_mask", no_mask, "images have no mask", _AGAIN),
        (
            "not_converted",
            not_converted,
            f"masks are there as published, but not as *{suffix} with train ids",
            f"convert them: {work.description.prepare_command('data/archives', work.out)}",
        ),
    ):
        if files:
            result.findings.append(
                Finding("error", kind, split.name, f"{len(files)} {what}", mend, files)
            )
    return pairs


def _spread(items: Sequence[Pair], count: int | None) -> Sequence[Pair]:
    """``count`` items, evenly spread."""
    if count is None or count >= len(items):
        return items
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, count)]


def _add_histogram(result: Verification, checks: Sequence[PairCheck]) -> None:
    total = np.array(result.histogram, np.int64)
    for check in checks:
        if check.histogram is not None:
            total += np.array(check.histogram, np.int64)
    result.histogram = total.tolist()


def shares(result: Verification, description: DataDescription) -> list[tuple[str, int, float]]:
    """Name, pixels and share (0..1) of every label that may occur, void last."""
    total = max(1, sum(result.histogram))
    names = dict(description.names) | ({VOID: "void"} if description.has_void else {})
    return [
        (names[i], result.histogram[i], result.histogram[i] / total) for i in sorted(names)
    ]  # fmt: skip
