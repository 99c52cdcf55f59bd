"""ADE20K: the archive's own layout."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.tools.dataset_converters import official


def test_files_are_the_archives(tmp_path: Path) -> None:
    official.make_ade(tmp_path / "archives")
    root = official.prepared("ade", tmp_path).root
    with zipfile.ZipFile(tmp_path / "archives" / "ADEChallengeData2016.zip") as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for name in names:
            assert (root.parent / name).read_bytes() == archive.read(name)
    assert len(names) == sum(path.is_file() for path in root.rglob("*"))
