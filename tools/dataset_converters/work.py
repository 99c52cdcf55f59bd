"""The work of preparing: steps that can be repeated, and what they share."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from zegclip.errors import InputError

from .archives import ArchiveReader, Member
from .description import Archive, DataDescription
from .files import is_whole_png, sizes_in, write_bytes, write_names
from .parallel import parallel, progress

T = TypeVar("T")
R = TypeVar("R")
_WRITTEN, _REPLACED, _THERE, _KEPT = "written", "replaced", "there", "kept"


@dataclass
class Step:
    """One part of preparing a data set.

    Attributes:
        title: for people.
        needed: bytes that it will write, at most.
        run: does it; what is done already is left alone.
    """

    title: str
    needed: int
    run: Callable[[], None]


@dataclass
class Work:
    """What all steps share.

    Attributes:
        description: of the data set.
        archives: what was found, by the name of the first of each choice.
        out: the folder of all data sets.
        jobs: processes that convert.
        force: replace masks and lists that are there.
        console: where progress is shown.
        tally: number of files written, replaced, already there, and kept though they differ.
        failures: files that could not be read, and why.
        notes: what the user should know at the end.
    """

    description: DataDescription
    archives: dict[str, tuple[Archive, Path]]
    out: Path
    jobs: int = 1
    force: bool = False
    console: Console = field(default_factory=lambda: Console(soft_wrap=True))
    tally: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The data set's folder."""
        return self.out / self.description.root

    def archive(self, name: str) -> Path:
        """Where the archive (or another of its choice) is."""
        return self.archives[name][1]

    # --- extraction --------------------------------------------------------------------------

    def extraction(self, archive: Path, select: Callable[[str], str | None], title: str) -> Step:
        """The step that unpacks members of an archive.

        Args:
            archive: the file.
            select: the path in :attr:`root` that a member's name belongs at, ``None``: nowhere.
            title: of the step.

        Raises:
            InputError: the archive cannot be read, or a selected member is a link or a
                device.
        """
        pending, needed, listings = [], 0, {}
        selected = 0
        with ArchiveReader(archive) as reader:
            for member, info in reader.members():
                relative = select(member.name)
                if relative is None:
                    continue
                selected += 1
                target = self.root / relative
                _refuse_special(member, archive)
                if target.parent not in listings:
                    listings[target.parent] = sizes_in(target.parent)
                there = listings[target.parent].get(target.name)
                if self._must_write(target, there, member.size):
                    # (A TarInfo refers to its archive: only what finds it again is kept.)
                    pending.append((info, target))
                    needed += member.size

        if not selected:
            raise InputError(
                f"{archive} holds nothing of {self.description.title} ({title}): it is another "
                "archive under this name. Delete it and download it again."
            )

        def run() -> None:
            with ArchiveReader(archive) as reader:
                for info, target in progress(title, pending, len(pending), self.console):
                    write_bytes(target, reader.read(info))

        return Step(title, needed, run)

    def _must_write(self, target: Path, there: int | None, size: int) -> bool:
        """Whether an extracted file is not there, or not as it should be; counts it."""
        if there is None:
            self.tally[_WRITTEN] += 1
            return True
        if there == size:
            self.tally[_THERE] += 1
            return False
        own = target.suffix == ".txt" or is_whole_png(target)
        if own and not self.force:
            self.tally[_KEPT] += 1
            self.notes.append(f"{target} is not the archive's: kept (--force replaces it)")
            return False
        self.tally[_REPLACED] += 1
        return True

    def must_convert(self, target: Path, there: dict[str, int]) -> bool:
        """Whether a mask that we make is not there or was half-written; counts it.

        Args:
            target: the mask.
            there: the files of its folder (:func:`~dataset_converters.files.sizes_in`).
        """
        if target.name not in there:
            self.tally[_WRITTEN] += 1
            return True
        if self.force or not is_whole_png(target):
            self.tally[_REPLACED] += 1
            return True
        self.tally[_THERE] += 1
        return False

    def write_list(self, target: Path, names: Sequence[str]) -> None:
        """Write a list of names unless one with the same names is there.

        A list with other names is the user's and stays, with a note, unless :attr:`force`.
        """
        if target.is_file():
            found = target.read_text(encoding="utf-8", errors="replace").split()
            if set(found) == set(names):
                self.tally[_THERE] += 1
                return
            if not self.force:
                self.tally[_KEPT] += 1
                self.notes.append(
                    f"{target} has {len(set(found))} names, ours would have {len(names)}: kept "
                    "(--force replaces it)"
                )
                return
            self.tally[_REPLACED] += 1
        else:
            self.tally[_WRITTEN] += 1
        write_names(target, names)

    # --- many files --------------------------------------------------------------------------

    def convert(
        self,
        title: str,
        function: Callable[[T], tuple[str, str] | None],
        items: Iterable[T],
        total: int | None,
    ) -> None:
        """Call ``function`` for every item and keep the failures that it returns (file, why)."""
        for failure in self.parallel(title, function, items, total):
            if failure is not None:
                # Counted before it was tried.
                self.tally[_WRITTEN if self.tally[_WRITTEN] else _REPLACED] -= 1
                self.failures.append(failure)

    def parallel(
        self, title: str, function: Callable[[T], R], items: Iterable[T], total: int | None
    ) -> Iterator[R]:
        """``function`` of every item: :func:`~dataset_converters.parallel.parallel`."""
        return parallel(title, function, items, total, self.jobs, self.console)


def _refuse_special(member: Member, archive: Path) -> None:
    if not member.plain:
        raise InputError(
            f"{archive}: the member {member.name} is a link or a device, where the official "
            "archive has a file. Delete this archive and download it again."
        )


def check_space(steps: Sequence[Step], out: Path, free: int | None = None) -> None:
    """Refuse to begin what would fill the disk.

    Args:
        steps: what will be done.
        out: where it is written.
        free: bytes; default: what the disk has.

    Raises:
        InputError: says how much is needed and how much is free.
    """
    existing = out.resolve()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free if free is None else free
    needed = sum(step.needed for step in steps)
    if needed > free:
        raise InputError(
            f"{out} needs {needed / 1e9:.1f} GB more, but its disk has {free / 1e9:.1f} GB free. "
            "Free some, or give a folder on another disk as --out (and set data_root in configs)."
        )
