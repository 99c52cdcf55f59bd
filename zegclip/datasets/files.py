"""Finding the files that lists name, in few system calls, and saying which are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from zegclip.errors import InputError


class FolderListing:
    """Whether files exist, by listing each folder once: ten thousand files cost milliseconds."""

    def __init__(self) -> None:
        self._present: dict[str, set[str]] = {}

    def find(self, folders: Iterable[str], name: str) -> str | None:
        """The first of ``folder/name`` that exists; ``name`` may hold folders itself."""
        for root in folders:
            path = os.path.join(root, name)
            folder, file = os.path.split(path)
            if folder not in self._present:
                is_there = os.path.isdir(folder)
                self._present[folder] = set(os.listdir(folder)) if is_there else set()
            if file in self._present[folder]:
                return path
        return None


def read_names(path: str | Path, what: str) -> list[str]:
    """The lines of a text file, stripped, without blank ones.

    Args:
        path: the file.
        what: what it is for, for the message.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{what}: there is no file {path}")
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def first_few(names: Sequence[str], count: int = 5) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - count
    return ", ".join(names[:count]) + (f" and {rest} more" if rest > 0 else "")
