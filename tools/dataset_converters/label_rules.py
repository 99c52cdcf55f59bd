"""What the labels of many masks say: the usual mistakes, by their traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zegclip.datasets.files import first_few

from .coco_stuff import LAST_ID
from .description import VOID, DataDescription, Split
from .pair_check import PairCheck


@dataclass
class Finding:
    """Something that is not as published.

    Attributes:
        severity: ``error`` (results would be wrong, or a run fails) or ``warning``.
        kind: a word for programs.
        split: ``train``, ``val``; empty: of all.
        message: for people.
        mend: what to do.
        files: the ones concerned, relative to the data set.
    """

    severity: str
    kind: str
    split: str
    message: str
    mend: str
    files: list[str] = field(default_factory=list)

    def text(self, with_mend: bool = True) -> str:
        """In a few lines, with the first few files."""
        where = f" [{self.split}]" if self.split else ""
        lines = [f"{self.severity}{where}: {self.message}"]
        if self.files:
            lines.append(f"  {first_few(self.files)}")
        if self.mend and with_mend:
            lines.append("  mend: " + self.mend.replace("\n", "\n  "))
        return "\n".join(lines)


# By kind of a pair's problem: what to say, and the mend.
_PROBLEMS = {
    "unreadable_image": ("images cannot be read", "prepare again after deleting them"),
    "unreadable_mask": ("masks cannot be read", "delete them and prepare again"),
    "size": (
        "masks have another size than their image",
        "each pixel needs its label: delete these masks and prepare again; for own masks, scale "
        "them with nearest-neighbour interpolation",
    ),
    "channels": (
        "masks have several channels (RGB), where one number a pixel is due",
        "they are a copy painted in colours: delete them and prepare again, or replace each colour "
        "by its class index and save an 8-bit grey or palette PNG",
    ),
}


def findings_of_labels(
    description: DataDescription, split: Split, checks: Sequence[PairCheck], out: str | Path
) -> list[Finding]:
    """What is wrong with the masks of a split, each kind once with its files.

    Args:
        description: of the data set.
        split: the part that the masks are of.
        checks: of its masks.
        out: the folder of all data sets, for the mends.
    """
    found = []
    for kind, (what, mend) in _PROBLEMS.items():
        concerned = [(c.name, detail) for c in checks for k, detail in c.problems if k == kind]
        if concerned:
            message = f"{len(concerned)} {what} ({concerned[0][1]})"
            files = [name for name, _ in concerned]
            found.append(Finding("error", kind, split.name, message, mend, files))
    again = f"`{description.prepare_command('data/archives', out)} --force` makes them anew"
    bad = [check for check in checks if check.bad_labels]
    if bad:
        kind, message, mend = _bad_labels(description, bad)
        files = [check.name for check in bad]
        found.append(Finding("error", kind, split.name, message, f"{mend}{again}", files))
    read = [check for check in checks if check.histogram is not None]
    if description.has_void and _looks_shifted(description, read):
        message = (
            f"fewer than half of the {len(read)} masks have a pixel of label 0 (background): they "
            "are shifted by one, aeroplane 0 … tvmonitor 19 and background 255"
        )
        found.append(Finding("error", "shifted", split.name, message, again))
    elif split.void_within is not None and len(read) >= split.void_within:
        if not any(check.histogram[VOID] for check in read if check.histogram):
            message = (
                f"none of the {len(read)} masks has a void pixel (255), which the published ones "
                "have: pixels that must be ignored would count"
            )
            mask_folder = split.mask_folders[0]
            mend = f"{mask_folder} holds masks of another source. {again}"
            found.append(Finding("error", "no_void", split.name, message, mend))
    return found


def _bad_labels(description: DataDescription, bad: Sequence[PairCheck]) -> tuple[str, str, str]:
    """Kind, message and mend for labels that may not occur."""
    values = Counter(value for check in bad for value in check.bad_labels)
    listed = first_few([str(value) for value in sorted(values)])
    message = f"{len(bad)} masks hold the labels {listed}; {description.label_rule}"
    last = max(description.names)
    if description.key == "coco_stuff" and set(values) <= set(range(last + 1, LAST_ID + 1)):
        return "raw_ids", f"{message}: these are official ids, not train ids", ""
    if not description.has_void and set(values) == {VOID}:
        return (
            "shifted",
            f"{message}: these masks are shifted by one, 0..{last - 1} and 255 for what is ignored",
            "our configs subtract one themselves (reduce_zero_label=True). ",
        )
    return "labels", message, "masks of another data set, or of another list of classes? "


def _looks_shifted(description: DataDescription, read: Sequence[PairCheck]) -> bool:
    """Whether VOC's background is missing: nearly every photograph has some."""
    if 0 not in description.ignored or not read:
        return False
    with_background = sum(1 for check in read if check.histogram and check.histogram[0])
    return 2 * with_background < len(read)
