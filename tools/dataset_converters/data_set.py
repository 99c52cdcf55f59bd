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
    """An official file to download.

    Attributes:
        name: its file name, by which it is looked for.
        url: where it is published.
        gigabytes: its size, 10^9 bytes, rounded.
        md5: its published checksum; empty: none is known.
        instead: another archive that serves as well.
        note: what to know before fetching it.
    """

    name: str
    url: str
    gigabytes: float
    md5: str = ""
    instead: Archive | None = None
    note: str = ""

    def download(self, folder: Path) -> str:
        """The shell command that downloads it into ``folder``; repeated, it goes on."""
        target = shlex.quote(str(folder / self.name))
        command = f"  curl -fL -C - --create-dirs -o {target} {self.url}  # {self.gigabytes:g} GB"
        if self.instead is None:
            return command
        return f"{command}\n  # or, {self.instead.note}:\n{self.instead.download(folder)}"


@dataclass(frozen=True)
class Split:
    """A part of a data set that is trained or tested on.

    Attributes:
        name: ``train`` or ``val``.
        count: images, as published.
        images: folder of the images.
        masks: folders of the masks; the first that has the mask counts.
        lists: files with image names, and the published number of names; empty: every image.
        void_within: among so many masks some pixel is void (255); ``None``: not known.
        other_counts: other numbers of images that are known, and why.
    """

    name: str
    count: int
    images: str
    masks: tuple[str, ...]
    lists: Mapping[str, int] = field(default_factory=dict)
    void_within: int | None = None
    other_counts: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """One data set: ``prepare`` makes what the rest says, verification compares with it.

    Attributes:
        key: what the command line calls it.
        title: what people call it.
        root: its folder in the folder of all data sets.
        archives: what is downloaded.
        prepare: makes the layout out of the archives.
        splits: what is trained and tested on.
        names: the meaning of every label that a mask may hold.
        ignored: the labels among them that are no class.
        label_rule: the same for people.
        mask_suffix: how the masks' file names end.
        folders: published number of files in folders that hold more than the splits use.
    """

    key: str
    title: str
    root: str
    archives: tuple[Archive, ...]
    prepare: Callable[[Work], None]
    splits: tuple[Split, ...]
    names: Mapping[int, str]
    ignored: frozenset[int]
    label_rule: str
    mask_suffix: str = ".png"
    folders: Mapping[str, int] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command that prepares it."""
        return f"python tools/prepare_dataset.py {self.key} --archives data/archives --out data"
