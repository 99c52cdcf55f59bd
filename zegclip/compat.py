"""What today's torch needs from the OpenMMLab stack.

:func:`import_mmseg` runs when :mod:`zegclip` is imported; beside that only GOMP_SPINCOUNT is set.
:func:`set_up` is for programs: it sets threads and filters of warnings, and patches what mmengine
does wrong today.
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
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

# OpenMP's threads spin this long at a barrier, a thirtieth of GOMP's default, before they sleep:
# beside busy processes a step took up to 15 times as long. (Must be set before torch is imported.)
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch

from .files import as_checkpoint, read_checkpoint, read_url, replacing

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# A fragment takes its definitions with it when it is collected: it lives as long as the process.
_torchvision_fragments: list[torch.library.Library] = []
# The stack's notes about itself, which look like faults of a run.
_NOISE = (
    "Fail to import ``MultiScaleDeformableAttention``",
    "The draw is False, it means that the hook for visualization",
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
    """Import mmseg without its start-up notes, and without timm, which only TIMMBackbone needs."""
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
    # All that this module logs is that its class, which mmengine's own hook uses, is deprecated.
    file_client: Any = importlib.import_module("mmengine.fileio.file_client")
    file_client.print_log = lambda *_, **__: None
    _find_mmseg_configs()
    _read_checkpoints_as_data()
    _write_files_whole()
    _run_several_processes()


def is_first_process() -> bool:
    """Whether this is the first of its run's processes, or the only one; known from the start."""
    return (os.environ.get("RANK") or os.environ.get("SLURM_PROCID", "0")) == "0"


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

    mm.CheckpointLoader.register_scheme("", loader=load, force=True)
    # Behind the remaining schemes (pavi, s3, openmmlab; http and what builds on it). torch.hub,
    # which mmengine asks for an address, takes any file of that name which it has downloaded.
    mm._safe_torch_load = load
    mm.load_url = lambda url, *_, **__: as_checkpoint(read_url(url), url)


def _write_files_whole() -> None:
    """Make mmengine's local file backend, which writes checkpoints, replace files atomically."""
    from mmengine.fileio import LocalBackend, register_backend

    class WholeFileBackend(LocalBackend):
        def put(self, obj: bytes, filepath: str | Path) -> None:
            with replacing(filepath) as part:
                super().put(obj, part)

    register_backend("local", WholeFileBackend, force=True, prefixes="")


def _run_several_processes() -> None:
    """Let launchers run without a GPU, and do not wrap a model without learnable parameters.

    mmengine calls ``torch.cuda.set_device`` whatever the backend is, and hands the local rank to
    ``MMDistributedDataParallel`` as the index of a GPU: here it is gloo and no device ids. With a
    GPU that stays as it is.
    """
    from mmengine.device import get_device
    from mmengine.dist import utils as dist_utils
    from mmengine.model import MMDistributedDataParallel
    from mmengine.runner import Runner

    def init_dist(original: Callable[..., None], backend: str, **kwargs: Any) -> None:
        if get_device() not in ("cpu", "mps"):
            original(backend, **kwargs)
            return
        with mock.patch.object(torch.cuda, "set_device"):  # there is none to choose
            original("gloo", **kwargs)

    def wrap_model(original: Callable[..., Any], self: Any, cfg: Any, model: Any) -> Any:
        if any(parameter.requires_grad for parameter in model.parameters()):
            return original(self, cfg, model)
        return model.to(get_device())  # torch refuses to wrap what learns nothing

    def init_wrapper(original: Callable[..., None], self: Any, module: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == "cpu" for parameter in module.parameters()):
            kwargs["device_ids"] = None
        original(self, module=module, **kwargs)

    for launcher in ("pytorch", "slurm"):
        _wrap(dist_utils, f"_init_dist_{launcher}", init_dist)
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
