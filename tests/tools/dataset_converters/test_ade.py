"""ADE20K: the archive's own layout."""

from __future__ import annotations

from pathlib import Path

from tests.tools.dataset_converters import official


def test_files_are_the_archives(tmp_path: Path) -> None:
    official.make_ade(tmp_path / "archives")
    root = official.prepared("ade", tmp_path).root
    files = [path for path in root.rglob("*") if path.is_file()]
    made = {str(path.relative_to(root.parent)): path.read_bytes() for path in files}
    expected = {name: c for name, c in official.ade_members().items() if not name.endswith("/")}
    assert made == expected
