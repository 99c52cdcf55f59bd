"""Checkpoints from elsewhere are data, wherever they come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from zegclip.engine.load_model import MINI_CHECKPOINT, choose_files, load_model
from zegclip.errors import InputError


class ThroughGetattr:
    """Reaches an attribute by ``getattr``, which mmengine's own loader admits."""

    def __reduce__(self) -> tuple:
        return getattr, ("harmless here", "upper")


def test_a_downloaded_checkpoint_is_read_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, file = choose_files(None, MINI_CHECKPOINT)
    torch.save({"state_dict": {}, "x": ThroughGetattr()}, tmp_path / "sly.pth")
    served = {"https://host/sly.pth": tmp_path / "sly.pth", "https://host/mini.pth": Path(file)}
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda u, f: shutil.copy(served[u], f))
    with pytest.raises(InputError, match="refused"):
        load_model(cfg, "https://host/sly.pth", torch.device("cpu"))
    assert file is not None
    named, address = choose_files(None, "https://host/mini.pth")
    assert Path(named.filename).stem == "tagclip_mini_inductive"
    served.clear()  # it was downloaded once
    model = load_model(cfg, address, torch.device("cpu"))
    assert model.vocabulary.unseen and not model.training
    with pytest.raises(InputError, match="a file, or at an http"):
        load_model(cfg, "s3://host/mini.pth", torch.device("cpu"))


def test_a_config_is_run_only_where_a_training_of_this_machine_wrote_it(tmp_path: Path) -> None:
    """Whoever wrote a checkpoint chooses the name in it."""
    config, checkpoint = tmp_path / "job.py", tmp_path / "iter_9.pth"
    config.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nload_from = 'x.pth'\n")
    torch.save({"state_dict": {}, "meta": {"config": "job"}}, checkpoint)
    with pytest.raises(InputError, match=r"job\.py is run only if you name it"):
        choose_files(None, checkpoint)
    (tmp_path / "last_checkpoint").write_text("/another/machine/iter_9.pth")
    with pytest.raises(InputError, match=r"job\.py is run only if you name it"):
        choose_files(None, checkpoint)
    assert not (tmp_path / "ran").exists()
    (tmp_path / "last_checkpoint").write_text(str(checkpoint.resolve()))
    cfg, _ = choose_files(None, checkpoint)
    assert cfg.filename == str(config.resolve()) and (tmp_path / "ran").exists()
