"""What today's torch needs from the OpenMMLab stack.

:func:`import_mmseg` runs when :mod:`zegclip` is imported and changes nothing else in the process.
:func:`set_up` is for programs: it sets threads, warnings and what mmengine does wrong today.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import io
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

# Threads that wait for each other spin this long, a thirtieth of the usual time, and then sleep:
# beside busy processes a step took up to 15 times as long. (Read while torch is imported.)
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch

from .errors import InputError
from .files import as_checkpoint, read_checkpoint, replacing

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# A fragment takes its definitions with it when it is collected: it lives as long as the process.
_torchvision_fragments: list[torch.library.Library] = []
# The stack's notes about itself, which look like faults of a run.
_NOISE = (
    "Fail to import ``MultiScaleDeformableAttention``",
    "The draw is False, it means that the hook for visualization",
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    "Setting (OMP|MKL)_NUM_THREADS environment variable",  # too late: threads are set by then
)


class ImportedLater(ModuleType):
    """A module that is imported when something of it is first asked for.

    open_clip and timm, with the torchvision and the compiler of torch that they bring, take longer
    to import than torch and mmseg; most programs need them only to build a model, or never.

    Example:
        >>> open_clip = ImportedLater("open_clip")
        >>> open_clip.list_models()  # doctest: +SKIP
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def make_torchvision_importable() -> bool:
    """Let ``import torchvision`` work where its compiled operators cannot be loaded.

    The registry's torchvision wheel is a CUDA build. Beside a CPU-only torch its operator library
    does not load, and the import stops at ``operator torchvision::nms does not exist``. Only the
    schemas are missed then: with them defined the import succeeds, and the operators themselves
    (which nothing here calls) stay unavailable.

    Returns:
        True if the schemas had to be defined, False if the library loads.
    """
    found = importlib.util.find_spec("torchvision")
    folder = Path(found.origin).parent if found and found.origin else None
    with contextlib.suppress(OSError):
        for library in folder.glob("_C.*") if folder else ():
            torch.ops.load_library(library)
            return False
    if not _torchvision_fragments:
        fragment = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            fragment.define(name + _NMS_SCHEMA)
        _torchvision_fragments.append(fragment)
    return True


def import_mmseg() -> None:
    """Import mmseg, timm later, without the notes about parts that nobody misses here."""
    make_torchvision_importable()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as said:
        for message in _NOISE:
            warnings.filterwarnings("ignore", message=message)
        with _import_refused("timm"):
            for module in ("mmseg.datasets", "mmseg.models"):
                importlib.import_module(module)
    # Its one user there looks it up in its own module.
    timm_backbone: Any = importlib.import_module("mmseg.models.backbones.timm_backbone")
    timm_backbone.timm = timm_backbone.timm or ImportedLater("timm")
    rest = [line for line in said.getvalue().splitlines() if line != "Could not import OneDL"]
    print("\n".join(rest), end="\n" if rest else "")


@contextlib.contextmanager
def _import_refused(name: str) -> Iterator[None]:
    """``import name`` fails, unless it has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def set_up() -> None:
    """Prepare this process to run a tool; may be called again.

    Threads fit the cores, the stack's notes about itself are not shown, and mmengine finds mmseg's
    base configs, reads checkpoints as data, writes them whole, and runs several processes without a
    GPU.
    """
    limit_threads()
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=message)
    _find_mmseg_configs()
    _read_checkpoints_as_data()
    _write_files_whole()
    _run_several_processes()


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


def _find_mmseg_configs() -> None:
    """Let ``_base_ = 'mmseg::…'`` find mmseg under the name of its maintained distribution."""
    from mmengine.config.utils import MODULE2PACKAGE

    try:
        importlib.metadata.version(MODULE2PACKAGE["mmseg"])
    except importlib.metadata.PackageNotFoundError:
        MODULE2PACKAGE["mmseg"] = "onedl-mmsegmentation"


def _read_checkpoints_as_data() -> None:
    """Send every way in which mmengine loads a checkpoint through :func:`read_checkpoint`.

    mmengine's own loader widens torch's ``weights_only`` list by ``getattr``, through which a file
    can reach any function.
    """
    from mmengine.runner import checkpoint as mm

    def load(filename: Any, map_location: Any = "cpu", **_: Any) -> Any:
        return as_checkpoint(read_checkpoint(filename, map_location), str(filename))

    def load_url(original: Callable[..., Any], url: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(url, *args, **kwargs, weights_only=True)
        except Exception as error:  # no network, no such file, or none of torch.save's
            reason = str(error).split("\n")[0]
            raise InputError(f"{url} cannot be downloaded as a checkpoint: {reason}") from None

    mm.CheckpointLoader.register_scheme("", loader=load, force=True)
    # Behind the remaining schemes (pavi, s3, openmmlab; http and what builds on it).
    mm._safe_torch_load = load
    _wrap(mm, "load_url", load_url)


def _write_files_whole() -> None:
    """What mmengine writes through its local file backend, checkpoints among it."""
    from mmengine.fileio import LocalBackend, register_backend

    class WholeFileBackend(LocalBackend):
        def put(self, obj: bytes, filepath: str | Path) -> None:
            with replacing(filepath) as part:
                super().put(obj, part)

    register_backend("local", WholeFileBackend, force=True, prefixes="")


def _run_several_processes() -> None:
    """Let launchers ``pytorch`` and ``slurm`` run without a GPU, and test what learns nothing.

    mmengine calls ``torch.cuda.set_device`` whatever the backend is, and hands the local rank to
    ``MMDistributedDataParallel`` as the index of a GPU: here it is gloo and no device ids. With a
    GPU that stays as it is.
    """
    from mmengine.device import get_device
    from mmengine.dist import utils as dist_utils
    from mmengine.model import MMDistributedDataParallel
    from mmengine.runner import Runner

    def init_pytorch(original: Callable[..., None], backend: str, **kwargs: Any) -> None:
        if get_device() not in ("cpu", "mps"):
            original(backend, **kwargs)
        else:
            kwargs.pop("init_backend", None)
            torch.distributed.init_process_group(backend="gloo", **kwargs)

    def init_slurm(original: Callable[..., None], backend: str, **kwargs: Any) -> None:
        if get_device() not in ("cpu", "mps"):
            original(backend, **kwargs)
            return
        # As torchrun would say it.
        for name, value in (
            ("RANK", "PROCID"),
            ("WORLD_SIZE", "NTASKS"),
            ("LOCAL_RANK", "LOCALID"),
        ):
            os.environ[name] = os.environ[f"SLURM_{value}"]
        nodes = ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]]
        os.environ.setdefault("MASTER_ADDR", subprocess.check_output(nodes, text=True).split()[0])
        os.environ.setdefault("MASTER_PORT", "29500")
        torch.distributed.init_process_group(backend="gloo")

    def wrap_model(original: Callable[..., Any], self: Any, cfg: Any, model: Any) -> Any:
        if any(parameter.requires_grad for parameter in model.parameters()):
            return original(self, cfg, model)
        return model.to(get_device())  # torch refuses to wrap what learns nothing

    def init_wrapper(original: Callable[..., None], self: Any, module: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == "cpu" for parameter in module.parameters()):
            kwargs["device_ids"] = None
        original(self, module=module, **kwargs)

    _wrap(dist_utils, "_init_dist_pytorch", init_pytorch)
    _wrap(dist_utils, "_init_dist_slurm", init_slurm)
    _wrap(MMDistributedDataParallel, "__init__", init_wrapper)
    _wrap(Runner, "wrap_model", wrap_model)


def _wrap(owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Replace ``owner.name`` once by ``replacement(original, ...)``."""
    original = getattr(owner, name)
    if getattr(original, "wrapped_by_zegclip", False):
        return

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    wrapper.wrapped_by_zegclip = True  # type: ignore[attr-defined]
    setattr(owner, name, wrapper)
