"""Checkpoints from elsewhere are data, wherever they come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from zegclip.engine.config_files import read_config
from zegclip.engine.load_model import MINI_CHECKPOINT, choose_files, load_model
from zegclip.errors import InputError
from zegclip.evaluation.training import training_settings
from zegclip.files import PROJECT_ROOT


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


def test_a_config_beside_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    """Whoever packs a checkpoint chooses the name in it, and what lies beside it."""
    config, checkpoint = tmp_path / "job.py", tmp_path / "iter_9.pth"
    config.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nload_from = 'x.pth'\n")
    torch.save({"state_dict": {}, "meta": {"config": "job"}}, checkpoint)
    (tmp_path / "last_checkpoint").write_text(str(checkpoint.resolve()))
    with pytest.raises(InputError, match=r"give the config .*job\.py if you trust it"):
        choose_files(None, checkpoint)
    assert not (tmp_path / "ran").exists()


def test_the_repositorys_config_is_taken_if_the_checkpoint_was_trained_so(tmp_path: Path) -> None:
    checkpoint, name = tmp_path / "iter_9.pth", "tagclip_mini_inductive"
    settings = training_settings(read_config(PROJECT_ROOT / f"configs/{name}.py"))
    meta = {"config": name, "settings": settings}
    torch.save({"state_dict": {}, "meta": meta}, checkpoint)
    assert Path(choose_files(None, checkpoint)[0].filename).stem == name
    settings["model"]["decode_head"]["trusty_weighting"] = "seen"
    torch.save({"state_dict": {}, "meta": meta}, checkpoint)
    with pytest.raises(InputError, match=rf"not trained as configs/{name}.py.*trusty_weighting"):
        choose_files(None, checkpoint)


def test_what_a_named_config_has_otherwise_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    monkeypatch.setattr("zegclip.engine.load_model.print_log", lambda text, *_: said.append(text))
    cfg, file = choose_files(None, MINI_CHECKPOINT)
    content = torch.load(file, weights_only=True)
    content["meta"]["settings"] = training_settings(cfg)
    torch.save(content, tmp_path / "iter_9.pth")
    for gamma in (cfg.model.decode_head.gamma, 0.3):
        assert said == []
        cfg.model.decode_head.gamma = gamma
        load_model(cfg, str(tmp_path / "iter_9.pth"), torch.device("cpu"))
    (text,) = said
    assert "not used as it was trained, but with model.decode_head.gamma (0.0 -> 0.3)" in text


def test_a_text_of_mmseg_before_1_is_no_name_of_a_config(tmp_path: Path) -> None:
    checkpoint = tmp_path / "iter_9.pth"
    torch.save({"state_dict": {}, "meta": {"config": "model = dict()\n" * 99}}, checkpoint)
    with pytest.raises(InputError, match="which config it was trained with is not told"):
        choose_files(None, checkpoint)


def test_what_a_training_starts_from_is_not_what_it_trained(tmp_path: Path) -> None:
    """Of a self-training, the inductive run at half of its schedule."""
    mini = str(PROJECT_ROOT / MINI_CHECKPOINT)
    cfg = read_config(PROJECT_ROOT / "configs/tagclip_mini_transductive.py")
    cfg.load_from = mini
    with pytest.raises(InputError, match="no trained checkpoint .its load_from is what the"):
        choose_files(cfg, None)
    cfg.train_dataloader = None  # it only tests
    assert choose_files(cfg, None)[1] == mini
