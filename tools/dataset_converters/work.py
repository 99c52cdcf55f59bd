"""Writing a data set: every file is whole or absent, and what is finished is kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from zegclip.files import replacing

from .archives import another_archive, members

T = TypeVar("T")
# The grey ramp: whoever reads the palette's colours instead of the indices gets the same numbers.
_GREY_PALETTE = bytes(value for value in range(256) for _ in range(3))


@dataclass
class Work:
    """What the preparation of one data set reads and writes.

    Patterns are of whole member names, and files are placed by their groups (``\\w+``): whatever an
    archive says, nothing is written outside :attr:`root`.
    """

    archives: dict[str, Path]  # by name
    root: Path  # the data set's folder
    force: bool = False  # replace masks and lists that differ
    # Number of files that were written, there already, and kept though they differ.
    tally: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)  # masks, and why

    def is_due(self, target: Path, size: int | None = None) -> bool:
        """Whether a file must still be written; counts those that need not.

        ``size``: bytes of the archive's copy; -1: it is there and differs; ``None``: a mask that is
        converted, and whole ones are not compared.
        """
        if not target.exists():
            return True
        if target.stat().st_size == size:
            self.tally["there"] += 1
            return False
        # A list or a whole PNG that differs may be the user's own; an image is half of one.
        users = target.suffix == ".txt" or target.read_bytes().endswith(b"IEND\xaeB`\x82")
        if self.force or not users:
            return True
        self.tally["there" if size is None else "kept"] += 1
        return False

    def write(self, target: Path, content: bytes) -> None:
        """Write a file and count it."""
        with replacing(target) as part:
            part.write_bytes(content)
        self.tally["written"] += 1

    def copy(self, target: Path, content: bytes) -> None:
        """Write a list or a mask, unless it, or another one of the user's, is there."""
        # (Line ends do not count.)
        if target.exists() and target.read_bytes().split() == content.split():
            self.tally["there"] += 1
        elif self.is_due(target, -1):
            self.write(target, content)

    def write_list(self, target: Path, names: Iterable[str]) -> None:
        """Write sorted names, one a line, unless a list of the user's is there."""
        self.copy(target, "".join(f"{name}\n" for name in sorted(names)).encode())

    def unpack(
        self,
        archive: Path,
        pattern: str,
        target: str = r"\1",
        to_mask: Callable[[bytes], np.ndarray] | None = None,
        skip: Collection[str] = (),
    ) -> None:
        """Copy or convert members of an archive.

        Args:
            archive: where they are.
            pattern: regular expression of the whole member names.
            target: their place in :attr:`root`, a template of the pattern's groups.
            to_mask: from a member's content to ``(H, W)`` uint8 labels; ``None``: copy it.
            skip: file names without suffix that are left out.

        Raises:
            InputError: the archive is corrupt, or holds no such member.
        """
        found = 0

        def place(name: str, size: int) -> Path | None:
            nonlocal found
            match = re.fullmatch(pattern, name)
            path = self.root / match.expand(target) if match else None
            if path is None or path.stem in skip:
                return None
            found += 1
            return path if self.is_due(path, None if to_mask else size) else None

        for name, path, content in members(archive, place):
            if to_mask is None:
                self.write(path, content)
            else:
                self.convert(name, to_mask, content, path)
        if not found:
            raise another_archive(archive)

    def convert(self, name: str, to_mask: Callable[[T], np.ndarray], item: T, target: Path) -> None:
        """Write ``to_mask(item)``, ``(H, W)`` uint8 labels, as an 8-bit palette PNG, smaller and
        faster than a grey one; an item that cannot be read is noted."""
        try:
            image = Image.fromarray(to_mask(item))
        except Exception as error:  # an untrusted file: its reader may raise anything
            self.failures.append((name, f"{type(error).__name__}: {error}"))
            return
        image.putpalette(_GREY_PALETTE)
        with replacing(target) as part:
            image.save(part, compress_level=3)
        self.tally["written"] += 1
