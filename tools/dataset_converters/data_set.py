"""What a data set is made of: archives, folders, lists, published counts and labels."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .work import Work

VOID = 255


@dataclass(frozen=True)
class Archive:
    """An official file to download."""

    name: str  # the file's, by which it is looked for
    url: str
    gigabytes: float  # 10^9 bytes, rounded
    md5: str = ""  # empty: none is published
    instead: Archive | None = None  # another archive that serves as well
    note: str = ""  # what to know before fetching it

    def download(self, folder: Path) -> str:
        """The shell command that downloads it into ``folder``; repeated, it goes on."""
        target = shlex.quote(str(folder / self.name))
        command = f"  curl -fL -C - --create-dirs -o {target} {self.url}  # {self.gigabytes:g} GB"
        if self.instead is None:
            return command
        return f"{command}\n  # or, {self.instead.note}:\n{self.instead.download(folder)}"


@dataclass(frozen=True)
class Split:
    """A part of a data set that is trained or tested on; folders and lists are in its root."""

    name: str  # train or val
    count: int  # images, as published
    images: str  # folder
    masks: tuple[str, ...]  # folders; the first that has the mask counts
    # Files with image names, and the published number of names; empty: every image.
    lists: Mapping[str, int] = field(default_factory=dict)
    void_within: int | None = None  # among this many masks some pixel is void; None: not known
    other_counts: Mapping[int, str] = field(default_factory=dict)  # known ones, and why


@dataclass(frozen=True)
class DataSet:
    """One data set: ``prepare`` makes what the rest says, verification compares with it."""

    key: str  # on the command line
    title: str
    root: str  # its folder in the folder of all data sets
    archives: tuple[Archive, ...]
    prepare: Callable[[Work], None]
    splits: tuple[Split, ...]
    names: Mapping[int, str]  # the meaning of every label that a mask may hold
    ignored: frozenset[int]  # the labels among them that are no class
    label_rule: str  # the same for people
    mask_suffix: str = ".png"
    # Published number of files in folders that hold more than the splits use.
    folders: Mapping[str, int] = field(default_factory=dict)

    def command(self, archives: Path | None = None, out: Path = Path("data")) -> str:
        """The command that prepares it; ``archives``: their folder, by default data/archives."""
        folders = ["--archives", str(archives or "data/archives"), "--out", str(out)]
        return shlex.join(["python", "tools/prepare_dataset.py", self.key, *folders])
