"""Our modules compute what the published implementations compute."""

from __future__ import annotations

from pathlib import Path

import check_reference
import numpy as np
import pytest

from zegclip.errors import InputError

DATA = Path(__file__).parents[1] / "data"
ARCHIVES = [DATA / f"{name}_reference.npz" for name in ("zegclip", "tagclip", "training_free")]


@pytest.mark.filterwarnings("ignore:trusty_target='unseen_gt'")
@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_published_numbers(archive: Path) -> None:
    rows = check_reference.compare(archive)
    with np.load(archive) as data:
        promised = {key for key in data.files if key.startswith("out.")}
    assert {key for key, _, _ in rows} == promised
    assert any(".grad." in key for key in promised) == ("training_free" not in archive.stem)
    assert [row for row in rows if not row[1] <= row[2]] == []


def test_a_wrong_number_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(ARCHIVES[0]) as data:
        arrays = dict(data)
    arrays["out.train.loss_mask"] = arrays["out.train.loss_mask"] * np.float32(1.0001)
    changed = tmp_path / "changed.npz"
    np.savez(changed, **arrays)
    with pytest.raises(SystemExit):
        check_reference.main([str(changed)])
    assert "differs" in capsys.readouterr().out


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, image=np.zeros(3))
    with pytest.raises(InputError, match=r"other\.npz is no reference archive: it lacks"):
        check_reference.compare(other)
    with pytest.raises(InputError, match="no such file"):
        check_reference.compare(tmp_path / "absent.npz")
