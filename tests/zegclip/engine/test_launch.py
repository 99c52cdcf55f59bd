"""Arguments of the tools: what is typed counts, or is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch.nn.parallel import DistributedDataParallel

from zegclip.compat import set_up
from zegclip.engine.launch import (
    find_checkpoint,
    find_config,
    load_config,
    make_parser,
    methods_with,
    run,
)
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

VOC = "configs/tagclip_voc_inductive.py"


def load(*arguments: str) -> Config:
    return load_config(make_parser("", "").parse_args(arguments))


def test_a_split_on_the_command_line() -> None:
    cfg = load(VOC, "--unseen", "cat", "dog")
    for name in ("train", "val", "test"):
        assert cfg[f"{name}_dataloader"].dataset.unseen == ["cat", "dog"]


def test_without_workers_none_persist() -> None:
    cfg = load(VOC, "--cfg-options", "train_dataloader.num_workers=0")
    assert [cfg[f"{name}_dataloader"].persistent_workers for name in ("train", "val")] == [0, 1]


def test_options_of_the_training_are_errors_in_a_test() -> None:
    for option in ("train_cfg.max_iters", "load_from"):
        arguments = make_parser("", "").parse_args([VOC, "--cfg-options", f"{option}=7"])
        with pytest.raises(InputError, match=rf"{option} \(of the training\)"):
            load_config(arguments, trains=False)


def test_deterministic_is_prepared_for_wherever_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    load(VOC)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    load(VOC, "--cfg-options", "randomness.deterministic=True")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_no_run_goes_without_our_hooks(tmp_path: Path) -> None:
    config = tmp_path / "mine.py"
    config.write_text(
        "_base_ = 'mmseg::_base_/schedules/schedule_20k.py'\n"
        "custom_hooks = [dict(type='EMAHook'), dict(type='VocabularyHook')]\n"
    )
    set_up()
    cfg = load(str(config))
    ours = {hook.type for hook in cfg.default_hooks.values()}
    assert {"CheckpointHook", "PlainCheckpointHook", "ReportHook"} <= ours
    assert "VocabularyHook" not in ours  # it is there already


def test_hooks_of_a_config_that_has_none(tmp_path: Path) -> None:
    config = tmp_path / "mine.py"
    config.write_text(f"_base_ = {str(PROJECT_ROOT / VOC)!r}\ndefault_hooks = None\n")
    ours = {hook.type for hook in load(str(config)).default_hooks.values()}
    assert {"VocabularyHook", "ResumeHook"} <= ours


@pytest.mark.parametrize("name", ["vocabulary", "resume"])
def test_our_hooks_are_not_switched_off_in_silence(name: str) -> None:
    with pytest.raises(InputError, match=rf"default_hooks\.{name}=None: a run needs its .*Hook"):
        load(VOC, "--cfg-options", f"default_hooks.{name}=None")


def test_options_and_work_dir() -> None:
    cfg = load("tagclip_voc_inductive", "--cfg-options", "train_cfg.max_iters=7")
    assert cfg.train_cfg.max_iters == 7
    assert cfg.work_dir == "work_dirs/tagclip_voc_inductive"
    assert load(VOC, "--work-dir", "elsewhere").work_dir == "elsewhere"


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


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (InputError("a.png: broken"), SystemExit, "error: a.png: broken"),
        # A data loader's process sends its traceback along.
        (
            InputError(
                "Caught InputError in DataLoader worker process 0.\nOriginal Traceback\n  File\n"
                "zegclip.errors.InputError: a.png: broken\n"
            ),
            SystemExit,
            "error: a.png: broken",
        ),
        (ValueError("a bug"), ValueError, "a bug"),
    ],
)
def test_only_what_the_user_gave_wrong_is_a_message(
    error: Exception, raised: type[BaseException], message: str
) -> None:
    def main() -> Any:
        raise error

    with pytest.raises(raised) as caught:
        run(main)
    assert str(caught.value) == message


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_no_thread_of_a_process_group_outlives_the_run() -> None:
    """Python ends a thread that still wants the interpreter, and gloo's end the process then."""

    def main() -> None:
        torch.distributed.init_process_group(
            "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
        )
        runner: list[Any] = [DistributedDataParallel(torch.nn.Linear(1, 1))]
        runner.append(runner)  # as mmengine's, which its hooks and loops refer to
        runner[0](torch.ones(1, 1)).sum().backward()
        assert threads() > before

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    before = threads()
    run(main)
    assert threads() == before


@pytest.mark.parametrize(("backend", "left"), [("gloo", True), ("nccl", False)])
def test_who_fails_does_not_wait_for_the_others(
    backend: str, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NCCL's group is taken down by all together, and they are waiting in a step."""
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: backend)

    def main() -> None:
        torch.distributed.init_process_group(
            "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
        )
        raise InputError("broken")

    with pytest.raises(SystemExit, match="broken"):
        run(main)
    assert torch.distributed.is_initialized() is not left
    if not left:
        torch.distributed.destroy_process_group()
