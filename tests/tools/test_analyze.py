"""tools/analyze.py on a few scenes of the mini benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import analyze
import pytest
import torch
from PIL import Image
from support.analysis_tables import cell, flat
from support.claims import CLAIMS, number_at

from tests.zegclip.apis.models import files_of
from zegclip.errors import InputError

TAGCLIP = files_of("tagclip")
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def analysed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the tool on four scenes; what it writes as JSON."""
    scenes = tmp_path_factory.getbasetemp() / "scenes"  # drawn once

    def run(*args: object) -> dict[str, Any]:
        few = "test_dataloader.dataset.{}"
        options = ["--cfg-options", few.format("number=4"), few.format(f"data_root={scenes}")]
        analyze.main([*map(str, args), *options, "--out", str(tmp_path)])
        return json.loads((tmp_path / "analysis.json").read_text())

    return run


def test_methods_side_by_side(analysed: Run, tmp_path: Path) -> None:
    """Two checkpoints of one title are one column, of another method another one."""
    content = analysed(*TAGCLIP, *files_of("ldvc"), *TAGCLIP, "--titles", "TagCLIP", "B", "TagCLIP")
    tagclip, ldvc = content["results"]["TagCLIP"], content["results"]["B"]
    assert len(tagclip) == 2 and tagclip[0] == tagclip[1] and len(ldvc) == 1
    assert "trusty map" in tagclip[0] and "fragments without LCSA" in ldvc[0]
    assert content["data"]["B"]["images"] == 4
    text = (tmp_path / "analysis.md").read_text()
    rows = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines()}
    assert rows["| pAcc"][1] == f"{tagclip[0]['scores']['pAcc']:.4g} ± 0"
    assert rows["| pAcc"][2] == f"{ldvc[0]['scores']['pAcc']:.4g} |"
    assert text.startswith("| scores | TagCLIP | B |")
    assert any(name.endswith(" (unseen)") for name in rows)
    # What the table of claims reads is there (ZegCLIP's decoder is TagCLIP's).
    for row, path in {place for claim in CLAIMS for place in (claim.ours, claim.theirs)}:
        if not path.startswith("training/"):  # which is of the log beside a checkpoint
            assert number_at((ldvc if row.startswith("ldvc") else tagclip)[0], path) is not None
    with Image.open(tmp_path / "analysis.png") as picture:
        assert picture.size == (3 * 750, 630)  # hIoU against gamma, background, and the trusty map
    assert analyze.draw({"cross-dataset": [{"scores": {"pAcc": 50.0}}]}) is None


def test_other_trainings_are_no_seeds(analysed: Run, tmp_path: Path) -> None:
    content = torch.load(TAGCLIP[1], weights_only=True)
    content["meta"]["iter"] = 1
    torch.save(content, tmp_path / "iter_1.pth")
    pairs = [*TAGCLIP, TAGCLIP[0], tmp_path / "iter_1.pth"]
    with pytest.raises(InputError, match="not trained alike would be averaged; name the columns"):
        analysed(*pairs)


def test_a_model_of_another_split(analysed: Run, tmp_path: Path) -> None:
    content = torch.load(TAGCLIP[1], weights_only=True)
    content["meta"]["dataset_meta"]["unseen"] = ["cat", "dog"]
    torch.save(content, tmp_path / "iter_1.pth")
    pair = TAGCLIP[0], tmp_path / "iter_1.pth"
    with pytest.raises(InputError, match="unseen"):
        analysed(*pair)
    data = analysed(*pair, "--unseen", "cat", "dog")["data"]
    assert data["tagclip_mini_inductive"]["unseen"] == ["cat", "dog"]


def test_cells() -> None:
    assert (
        cell([50.0, 52.0]) == "51 ± 1.4"
        and cell([250, 1000]) == "625 ± 530"
        and cell([0.12345]) == "0.1235"
    )
    assert cell(["cat", "cat", "dog"]) == "cat, dog" and cell([]) == ""
    nested = {"a_b": {"c": 1, "curve": {"d": [1]}}, "per_class": {"cat": {}}, "e": None, "f": "g"}
    assert flat(nested) == {"a b: c": 1, "f": "g"}


def test_messages(analysed: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        analysed(*TAGCLIP, TAGCLIP[0])
    with pytest.raises(SystemExit):
        analysed(*TAGCLIP, "--titles", "a", "b")
    said = capsys.readouterr().err
    assert "--titles: 2 for 1 pairs" in said
    assert "a CHECKPOINT belongs to each CONFIG, but there are 3 files" in said
    with pytest.raises(InputError, match="no checkpoint"):
        analysed(*TAGCLIP, TAGCLIP[0], "none.pth")
    assert not (tmp_path / "analysis.json").exists()
