"""What today's torch needs from the OpenMMLab stack, handled once and on import of this module.

Every function mends one trap, does nothing where there is nothing to mend, and may be called
again. :func:`prepare` calls them all; it runs when this module is imported, which
``zegclip/__init__.py`` does before anything imports mmseg or open_clip. (The remaining trap,
mixed precision without a GPU, is an optimiser wrapper: ``zegclip.engine.amp_optim_wrapper``.)
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import io
import math
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from zegclip.errors import InputError

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# A fragment takes its definitions with it when it is collected: it lives as long as the process.
_torchvision_fragments: list[torch.library.Library] = []


def mend_torchvision() -> bool:
    """Make ``import torchvision`` work where its compiled operators cannot be loaded.

    The registry's torchvision wheel is a CUDA build. Beside a CPU-only torch its operator library
    does not load, and the import stops at ``operator torchvision::nms does not exist``. Only the
    schemas are missed then: with them defined the import succeeds, and the operators themselves
    (which nothing here calls) stay unavailable.

    Returns:
        True if the schemas had to be defined, False if torchvision imports cleanly.

    Raises:
        RuntimeError: torchvision is broken in another way.
    """
    try:
        importlib.import_module("torchvision")
        return False
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            fragment.define(name + _NMS_SCHEMA)
    _torchvision_fragments.append(fragment)
    # What the failed import left behind holds registrations that may not be made twice, so only
    # the package itself is imported again.
    sys.modules.pop("torchvision", None)
    importlib.import_module("torchvision")
    return True


def available_cores() -> int:
    """The cores this process may use: its affinity, and the container's quota where one is set."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:  # cgroup v2 says "quota period", or "max period" without a limit
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return cores


def limit_threads(data_workers: int = 0) -> int:
    """Give each process its share of the cores; more threads than cores cost a factor of ten.

    The share is cores / processes on this machine (torchrun's ``LOCAL_WORLD_SIZE``); up to a
    quarter of it is left to the data workers, which torch runs with one thread each. Whoever sets
    ``OMP_NUM_THREADS`` is obeyed.

    Args:
        data_workers: data loading processes beside this one.

    Returns:
        The number of threads torch computes with.
    """
    import cv2

    cv2.setNumThreads(0)  # the data pipeline is parallel over images already
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        threads = int(chosen)
    else:
        share = max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        threads = share - min(data_workers, share // 4)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return threads


def mend_config_scope() -> None:
    """Let ``_base_ = 'mmseg::…'`` find mmseg under the name of its maintained distribution."""
    from mmengine.config.utils import MODULE2PACKAGE

    for module, fork in (("mmseg", "onedl-mmsegmentation"),):
        try:
            importlib.metadata.version(MODULE2PACKAGE[module])
        except importlib.metadata.PackageNotFoundError:
            MODULE2PACKAGE[module] = fork


def load_checkpoint_file(
    filename: str | os.PathLike[str] | io.BytesIO, map_location: Any = "cpu", **_: Any
) -> Any:
    """Read a checkpoint as data: tensors, numbers, text and containers of them, nothing else.

    Unlike mmengine's loader this one neither widens torch's ``weights_only`` list (the forks' list
    admits ``getattr``, through which a file can reach any function) nor falls back to unpickling.

    Args:
        filename: path of the file, or its content.
        map_location: as in :func:`torch.load`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is broken or holds something else than data; names the file.
    """
    name = "<buffer>" if isinstance(filename, io.BytesIO) else os.fspath(filename)
    source: Any = filename
    if not isinstance(filename, io.BytesIO):
        source = os.path.expanduser(name)
        if not os.path.isfile(source):
            raise FileNotFoundError(f"checkpoint not found: {name}")
    # Another package may have admitted globals of its own to this process: they do not count here.
    admitted = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        return torch.load(source, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("Unsupported global: ")[-1].split("\n")[0][:120]
        raise InputError(
            f"{name} is refused: it holds more than tensors, numbers and text ({reason}), and "
            "opening such a file can run any code in it. Get it as safetensors or as a plain "
            "state dict; if it is your own, save its 'state_dict' alone where it was made."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).split("\n")[0][:120]
        raise InputError(
            f"{name} cannot be read as a checkpoint (broken or cut short?): {reason}"
        ) from error
    finally:
        torch.serialization.add_safe_globals(admitted)


def mend_checkpoint_loading() -> None:
    """Send every way in which mmengine loads a checkpoint through :func:`load_checkpoint_file`."""
    from mmengine.runner import checkpoint as mm

    mm.CheckpointLoader.register_scheme("", loader=load_checkpoint_file, force=True)
    # Behind the remaining schemes (pavi, s3, openmmlab; http and what builds on it).
    mm._safe_torch_load = load_checkpoint_file
    if not isinstance(mm.load_url, functools.partial):
        mm.load_url = functools.partial(mm.load_url, weights_only=True)


def mend_distributed_cpu() -> None:
    """Let ``launcher='pytorch'`` run without a GPU: gloo, and no device ids for the model.

    mmengine calls ``torch.cuda.set_device`` whatever the backend is, and hands the local rank to
    ``MMDistributedDataParallel`` as the index of a GPU. With a GPU nothing changes.
    """
    from mmengine.device import get_device
    from mmengine.dist import utils as dist_utils
    from mmengine.model import MMDistributedDataParallel

    def init_pytorch(original: Callable[..., None], backend: str, **kwargs: Any) -> None:
        if get_device() != "cpu":
            original(backend, **kwargs)
        else:
            kwargs.pop("init_backend", None)
            torch.distributed.init_process_group(backend="gloo", **kwargs)

    def init_wrapper(original: Callable[..., None], self: Any, module: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == "cpu" for parameter in module.parameters()):
            kwargs["device_ids"] = None
        original(self, module=module, **kwargs)

    _wrap(dist_utils, "_init_dist_pytorch", init_pytorch)
    _wrap(MMDistributedDataParallel, "__init__", init_wrapper)


def _wrap(owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Replace ``owner.name`` once by ``replacement(original, ...)``."""
    original = getattr(owner, name)
    if getattr(original, "mended_by_zegclip", False):
        return

    @functools.wraps(original)
    def mended(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    mended.mended_by_zegclip = True  # type: ignore[attr-defined]
    setattr(owner, name, mended)


def import_quietly() -> None:
    """Import mmseg's data sets without the notes about optional parts that nobody misses here.

    Nor are the stack's warnings about itself shown, which look like faults of a run.
    """
    for message in (
        "Fail to import ``MultiScaleDeformableAttention``",
        "The draw is False, it means that the hook for visualization",
        '"FileClient" will be deprecated',
        '"HardDiskBackend" is the alias',
    ):
        warnings.filterwarnings("ignore", message=message)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        importlib.import_module("mmseg.datasets")
    rest = [line for line in said.getvalue().splitlines() if line != "Could not import OneDL"]
    print("\n".join(rest), end="\n" if rest else "")


def prepare() -> None:
    """Mend everything, in the order in which it is needed."""
    mend_torchvision()
    limit_threads()
    import_quietly()
    mend_config_scope()
    mend_checkpoint_loading()
    mend_distributed_cpu()


prepare()
