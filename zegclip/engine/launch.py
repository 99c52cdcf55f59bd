"""Running a tool: messages instead of tracebacks, and no process that waits for the others."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

import torch

from zegclip.compat import is_first_process, set_up
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

from .config_errors import refused_settings

# Errors of paths to be written. (Those to be read are checked before.)
_REFUSED_PATHS = (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def run(main: Callable[[], None]) -> None:
    """Run a tool's ``main``: what the user gave wrong ends it with one message.

    That is an :class:`InputError`, settings that a part of the config does not take, and a path
    that cannot be written to. Every other exception is a bug and keeps its traceback.
    """
    set_up()
    # A method of your own lies beside ours, and no installation knows of it.
    if str(PROJECT_ROOT) not in sys.path:
        sys.path.append(str(PROJECT_ROOT))
    try:
        main()
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        # Before the process group exists, every process meets the error, and the first one prints
        # it; afterwards it may be the error of one process alone.
        first = is_first_process()
        only_here = not first and torch.distributed.is_initialized()
        text = f"error: {message}" + (f" (process {os.environ.get('RANK')})" if only_here else "")
        raise SystemExit(text if first or only_here else 1) from None
    finally:
        if torch.distributed.is_initialized():
            _leave_processes(failed=sys.exc_info()[0] is not None)


def _leave_processes(failed: bool) -> None:
    """Destroy the process group, unless that would block."""
    # NCCL waits for all processes, and the others sit in a collective that this one has left.
    if failed and torch.distributed.get_backend() == "nccl":
        return
    # Gloo's threads must be joined before the interpreter ends: when nobody holds the group any
    # more, which the runner's model still does.
    gc.collect()
    torch.distributed.destroy_process_group()


def _message(error: Exception) -> str | None:
    """What the user is told of an error, without a traceback; ``None``: it is a bug."""
    if isinstance(error, _REFUSED_PATHS) and error.filename is not None:
        return f"{error.filename2 or error.filename} cannot be used: {error.strerror}"
    if not isinstance(error, InputError):
        return refused_settings(error)
    text = str(error)  # of one in a data loader's process, with its traceback
    if text.startswith("Caught ") and "DataLoader worker" in text:
        text = text.rpartition(f"{InputError.__name__}: ")[2].strip() or text
    return text
