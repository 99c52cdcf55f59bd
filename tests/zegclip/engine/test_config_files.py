"""Which config and checkpoint are meant, and what a run finds in the config."""

from __future__ import annotations

from pathlib import Path

import pytest

from zegclip.compat import set_up
from zegclip.engine.config_files import (
    complete_config,
    find_checkpoint,
    find_config,
    methods_with,
    read_config,
)
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

VOC = "configs/tagclip_voc_inductive.py"


def test_without_workers_none_persist() -> None:
    cfg = complete_config(VOC, {"train_dataloader.num_workers": 0})
    assert [cfg[f"{name}_dataloader"].persistent_workers for name in ("train", "val")] == [0, 1]


def test_no_run_goes_without_our_hooks(tmp_path: Path) -> None:
    config = tmp_path / "mine.py"
    config.write_text(
        "_base_ = 'mmseg::_base_/schedules/schedule_20k.py'\n"
        "custom_hooks = [dict(type='EMAHook'), dict(type='VocabularyHook')]\n"
    )
    set_up()
    cfg = complete_config(str(config))
    ours = {hook.type for hook in cfg.default_hooks.values()}
    assert {"CheckpointHook", "PlainCheckpointHook", "ReportHook"} <= ours
    assert "VocabularyHook" not in ours  # it is there already


def test_why_a_module_of_one_s_own_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_method.py").write_text("import torch\nimport module_that_is_not_there\n")
    config = tmp_path / "mine.py"
    config.write_text("custom_imports = dict(imports=['my_method'])\n")
    with pytest.raises(InputError, match=r"my_method\.py:2: .*'module_that_is_not_there'"):
        read_config(config)


def test_hooks_of_a_config_that_has_none(tmp_path: Path) -> None:
    config = tmp_path / "mine.py"
    config.write_text(f"_base_ = {str(PROJECT_ROOT / VOC)!r}\ndefault_hooks = None\n")
    ours = {hook.type for hook in complete_config(str(config)).default_hooks.values()}
    assert {"VocabularyHook", "ResumeHook"} <= ours


@pytest.mark.parametrize("name", ["vocabulary", "resume"])
def test_our_hooks_are_not_switched_off_in_silence(name: str) -> None:
    with pytest.raises(InputError, match=rf"default_hooks\.{name}=None: a run needs its .*Hook"):
        complete_config(VOC, {f"default_hooks.{name}": None})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "unseen = ['cat']",
            r"reads unseen=\['cat'\], .* = dict\(dataset=dict\(unseen=",
        ),
        ("data_root = 'elsewhere'", "reads data_root='elsewhere', the data sets have settings"),
        ("classes = ['cat']", r"reads classes=.*dataset=dict\(metainfo=dict\(classes=classes\)\)"),
        ("synonyms = {'cat': ['kitten']}", r"reads synonyms=.*dict\(dataset=dict\(synonyms="),
        ("modle = dict(decode_head=dict(gamma=0.1))", r"reads modle \(did you mean 'model'\?\)"),
        ("custom_hook = [dict(type='EMAHook')]", "reads custom_hook .did you mean"),
    ],
)
def test_names_that_nothing_reads(text: str, said: str, tmp_path: Path) -> None:
    config = tmp_path / "mine.py"
    config.write_text(f"_base_ = {str(PROJECT_ROOT / VOC)!r}\n{text}\n")
    with pytest.raises(InputError, match=f"mine.py: no part of a run {said}"):
        complete_config(str(config))


def test_names_of_ones_own(tmp_path: Path) -> None:
    config = tmp_path / "mine.py"
    config.write_text(
        f"_base_ = {str(PROJECT_ROOT / VOC)!r}\n"
        "unseen, side, models, data_root = ['cat'], 512, dict(a=1), 'data/voc'\n"
        "synonyms = dict(cat=['kitten'])\n"
        "words = dict(**synonyms, dog=['puppy'])\n"
        "data = dict(\n"
        "    dataset=dict(unseen=unseen, data_root=f'{data_root}/2012', synonyms=words))\n"
        "train_dataloader = val_dataloader = test_dataloader = data\n"
        "custom_hooks = [dict(type='EMAHook', of=models)]\n"
    )
    cfg = complete_config(str(config), unseen=["dog"])
    assert cfg.train_dataloader.dataset.unseen == ["dog"]


def test_a_config_without_training_data_has_no_training() -> None:
    cfg = complete_config(VOC, {"train_dataloader": None})
    assert (cfg.train_cfg, cfg.optim_wrapper, cfg.param_scheduler) == (None, None, None)


def test_a_config_that_is_not_there_names_similar_ones() -> None:
    assert find_config("zegclip_voc_inductive").is_file()
    with pytest.raises(InputError, match=r"Did you mean\n  configs/tagclip_voc_inductive\.py"):
        find_config("configs/tagclip_voc_inductiv.py")


@pytest.mark.parametrize("end", ["", ".py"])
@pytest.mark.parametrize("name", ["zegclip_context_inductive", "ldvc_coco_to_context"])
def test_context_alone_is_an_alias_and_says_so(
    name: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    full = name.replace("context", "context60")
    found = find_config(f"configs/{name}{end}")
    assert found.resolve() == PROJECT_ROOT / "configs" / f"{full}.py"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and f"an alias of configs/{full}{end}" in said[0]
    find_config(f"configs/{full}{end}")
    assert not capsys.readouterr().out


def test_a_checkpoint_that_is_not_there_names_those_beside_it(tmp_path: Path) -> None:
    (tmp_path / "iter_5.pth").touch()
    with pytest.raises(InputError, match=r"There is .*iter_5\.pth"):
        find_checkpoint(str(tmp_path / "iter_6.pth"))
    assert find_checkpoint("https://host/x.pth") == "https://host/x.pth"


def test_methods_are_found_by_their_configs() -> None:
    assert methods_with("mini") == ["zegclip", "ldvc", "tagclip"]
