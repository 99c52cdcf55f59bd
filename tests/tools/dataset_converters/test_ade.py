"""ADE20K: the archive's own layout."""

from __future__ import annotations

from pathlib import Path

from tests.dataset_converters import official
from tests.dataset_converters.official import prepared

from zegclip.datasets import ADE150Dataset


def test_layout(tmp_path: Path) -> None:
    official.make_ade(tmp_path / "archives")
    prepared("ade", tmp_path)
    root = tmp_path / "data" / "ade" / "ADEChallengeData2016"
    made = {
        str(path.relative_to(root.parent)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    expected = {name: c for name, c in official.ade_members().items() if not name.endswith("/")}
    assert made == expected
    data = ADE150Dataset(
        data_root=str(root),
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        setting="supervised",
        pipeline=[],
    )
    assert len(data) == 2
    assert set(prepared("ade", tmp_path).tally) == {"there"}
