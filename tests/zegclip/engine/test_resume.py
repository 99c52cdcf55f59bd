"""Which checkpoint a run goes on from, and its random numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from zegclip.engine import ResumeHook
from zegclip.engine.resume import latest_checkpoint


def test_what_somebody_copied_or_published_is_not_gone_on_from(tmp_path: Path) -> None:
    names = "iter_40", "iter_200", "iter_3000_old", "iter_3000 (copy)", "iter_3000-1a2b3c4d"
    for name in names:
        torch.save({"meta": {"seed": len(name)}}, tmp_path / f"{name}.pth")
    assert latest_checkpoint(tmp_path) == (str(tmp_path / "iter_200.pth"), 8)


@pytest.mark.parametrize("content", [["no checkpoint"], {"meta": "nor this"}])
def test_what_is_no_checkpoint_is_said_and_passed_over(
    content: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"meta": None}, tmp_path / "iter_40.pth")
    torch.save(content, tmp_path / "iter_80.pth")
    assert latest_checkpoint(tmp_path) == (str(tmp_path / "iter_40.pth"), None)
    assert "iter_80.pth holds a" in capsys.readouterr().err


def test_each_process_and_iteration_has_random_numbers_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or dropout would leave out the same on all GPUs."""
    drawn = {}
    for rank in (0, 1):
        monkeypatch.setattr("zegclip.engine.resume.get_rank", lambda rank=rank: rank)
        for iteration in (5, 6, 5):
            ResumeHook().before_train_iter(SimpleNamespace(seed=3, iter=iteration), 0)
            value = torch.rand(1).item()
            assert drawn.setdefault((rank, iteration), value) == value
    assert len(set(drawn.values())) == 4
