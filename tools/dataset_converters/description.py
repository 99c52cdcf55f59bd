"""What a data set is made of: its archives, folders, lists, published counts and labels."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

VOID = 255


@dataclass(frozen=True)
class Archive:
    """An official file to download.

    Attributes:
        name: its file name, by which it is looked for.
        url: where it is published.
        gigabytes: its size, 10^9 bytes, rounded.
        md5: its published checksum; empty: none is known to us.
        note: what else to know before fetching it.
    """

    name: str
    url: str
    gigabytes: float
    md5: str = ""
    note: str = ""

    def command(self, folder: str | Path) -> str:
        """The shell command that downloads it into ``folder``; repeated, it goes on."""
        target = shlex.quote(str(Path(folder) / self.name))
        return f"curl -fL -C - --create-dirs -o {target} {self.url}"


@dataclass(frozen=True)
class Split:
    """A part of a data set that is trained or tested on, as it lies on the disk.

    Attributes:
        name: ``train`` or ``val``.
        count: images, as published.
        image_folder: of the images, in the data set's root.
        mask_folders: of the masks; the first hit is taken.
        lists: image names without suffix, each list with its published number of names; empty:
            every image of the folder.
        void_within: among any so many masks some pixel is void (255), so that none at all means
            that void was lost; ``None``: there is no void.
        other_counts: numbers of images that are not the published one but known, and why.
    """

    name: str
    count: int
    image_folder: str
    mask_folders: tuple[str, ...]
    lists: Mapping[str, int] = field(default_factory=dict)
    void_within: int | None = None
    other_counts: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataDescription:
    """One data set. Preparing makes what this says, verifying compares with it.

    Attributes:
        key: what the command line calls it.
        title: what people call it.
        root: its folder in the folder of all data sets.
        class_words: words in the names of data set classes that read it (upper and lower case
            differ).
        folder_words: words in the names of its folders, in lower case.
        archives: what is needed; each entry is a choice, the preferred one first.
        splits: see :class:`Split`.
        names: the class of each label, ignored ones too.
        ignored: the labels among them that no class has (besides void).
        has_void: whether 255 may occur.
        mask_suffix: of the mask files.
        raw_mask_suffix: of official masks that are not converted yet; empty: they are as needed.
        folders: published number of images or masks in folders that hold more than the splits.
        layout: the folders and files, for people.
        label_rule: what the numbers mean, for people.
    """

    key: str
    title: str
    root: str
    class_words: tuple[str, ...]
    folder_words: tuple[str, ...]
    archives: tuple[tuple[Archive, ...], ...]
    splits: tuple[Split, ...]
    names: Mapping[int, str]
    ignored: frozenset[int]
    has_void: bool
    layout: str
    label_rule: str
    mask_suffix: str = ".png"
    raw_mask_suffix: str = ""
    folders: Mapping[str, int] = field(default_factory=dict)

    @property
    def allowed(self) -> frozenset[int]:
        """Every value that a mask may hold."""
        return frozenset(self.names) | (frozenset({VOID}) if self.has_void else frozenset())

    def prepare_command(self, archives: str | Path, out: str | Path) -> str:
        """The command that makes the layout out of the archives."""
        words = ["python", "tools/prepare_dataset.py", self.key]
        return shlex.join([*words, "--archives", str(archives), "--out", str(out)])

    def how_to_get(self, archives: str = "data/archives", out: str = "data") -> str:
        """Download commands and the preparing one, for people, one a line."""
        sizes = " + ".join(f"{choice[0].gigabytes:g} GB" for choice in self.archives)
        lines = [f"{self.title} ({sizes} to download):"]
        for first, *others in self.archives:
            lines.append(f"  {first.command(archives)}")
            for other in others:
                lines += [f"  # or, {other.note}:", f"  # {other.command(archives)}"]
        return "\n".join([*lines, f"  {self.prepare_command(archives, out)}"])
