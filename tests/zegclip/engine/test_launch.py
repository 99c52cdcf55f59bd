"""What ends a tool: a message for the user, a traceback for us, and no process that waits."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from zegclip.engine.launch import run
from zegclip.errors import InputError


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
    run(main)  # torch's own threads, which stay, are begun by the first
    before = threads()
    run(main)
    assert threads() <= before


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
