"""What the tools share: arguments, finding a config, messages instead of tracebacks."""

from __future__ import annotations

import argparse
import difflib
import gc
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import MODELS

from zegclip.compat import is_first_process, set_up
from zegclip.datasets.from_config import LOADERS, iter_datasets
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, find_path

from .config_errors import refused_settings
from .config_options import ConfigOptions, apply_options

# Hooks that no run goes without, whatever a config has put in the place of our schedules'.
_HOOKS = {
    "vocabulary": "VocabularyHook",
    "report": "ReportHook",
    "plain_checkpoint": "PlainCheckpointHook",
    "resume": "ResumeHook",
    "finite": "FiniteHook",
}
# What a launcher leaves in the environment of the processes that it starts.
_STARTED_BY = {
    "pytorch": ("RANK", "torchrun, as tools/dist_train.sh and dist_test.sh do"),
    "slurm": ("SLURM_PROCID", "srun, as tools/slurm_train.sh does"),
    "mpi": ("OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"),
}
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
        # Before the process group exists, every process meets the error; the first one prints it.
        first = is_first_process()
        alone = not first and torch.distributed.is_initialized()
        text = f"error: {message}" + (f" (process {os.environ.get('RANK')})" if alone else "")
        raise SystemExit(text if first or alone else 1) from None
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


def make_parser(description: str, example: str, runs: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that training and testing have in common (mmseg's names).

    Args:
        description: one sentence.
        example: a command line, shown at the end of ``--help``.
        runs: False for a tool that only reads the config: without work dir and launcher.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config", help="config file; a relative path counts from here, then from the repository"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=ConfigOptions,
        metavar="KEY=VALUE",
        help='override settings of the config, e.g. train_cfg.max_iters=100 or key="[a,b]"',
    )
    parser.add_argument(
        "--unseen", nargs="+", metavar="CLASS", help="another split: the unseen classes by name"
    )
    if not runs:
        parser.set_defaults(work_dir=None, launcher="none", local_rank=0)
        return parser
    parser.add_argument(
        "--work-dir", help="folder of logs, checkpoints, report (default: work_dirs/CONFIG_NAME)"
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="who started the processes (dist_train.sh and dist_test.sh say pytorch)",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def find_config(path: str) -> Path:
    """The file that a config argument means.

    PASCAL Context has two protocols; ``context`` alone means ``context60``, the papers', and says
    so.

    Args:
        path: as typed: relative to the current folder, to the repository or to its configs, with
            or without ``.py``.

    Raises:
        InputError: there is no such config; names the ones with similar names.
    """
    full = re.sub(r"_context(?=_[a-z-]+(\.py)?$|(\.py)?$)", "_context60", path)
    for name in (path, full):
        for candidate in (name, f"configs/{name}", f"{name}.py", f"configs/{name}.py"):
            found = find_path(candidate)
            if found.is_file():
                if name != path:
                    print_log(f"{path} is an alias of {full}; PASCAL Context has context59 as well")
                return found
    names = {file.name: file for file in sorted((PROJECT_ROOT / "configs").glob("*.py"))}
    close = difflib.get_close_matches(Path(path).name, names, n=3, cutoff=0.5) or list(names)[:5]
    hint = "".join(f"\n  configs/{name}" for name in close)
    raise InputError(f"no config {path!r}." + (f" Did you mean{hint}" if hint else ""))


def read_config(path: str | Path) -> Config:
    """A config file, as mmengine reads it.

    Raises:
        InputError: it, or one that it builds on, is no Python, or raises anything.
    """
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program
        hint = ": save it as UTF-8 without a byte-order mark" * ("U+FEFF" in str(error))
        hint = hint or ": does it build on itself?" * isinstance(error, RecursionError)
        frames = traceback.extract_tb(error.__traceback__)
        place = [f"{f.filename}:{f.lineno}: " for f in frames if f.name == "<module>"][-1:]
        cause = error.__cause__ or error  # (mmengine's own text lists all of sys.path)
        reason = "".join([*place, f"{type(cause).__name__}: {cause}"])
        raise InputError(
            f"{path}, or a config that it builds on, cannot be read ({reason}){hint}"
        ) from None


def methods_with(data: str) -> list[str]:
    """The methods that have a config ``{method}_{data}_inductive.py``, the baseline first.

    So that its configs are all that such a tool needs to know of a new method.
    """
    ending = f"_{data}_inductive"
    found = {file.stem.removesuffix(ending) for file in PROJECT_ROOT.glob(f"configs/*{ending}.py")}
    return sorted(found, key=lambda name: (name != "zegclip", name))


def learns(cfg: Mapping[str, Any]) -> bool:
    """Whether anything in a config's model is learned: else there is no checkpoint of it."""
    if not isinstance(cfg.get("model"), dict):
        raise InputError("the config has no model=dict(...): build on one of configs/ by _base_")
    parts = [cfg["model"].get(part) for part in ("image_encoder", "text_encoder", "decode_head")]
    return any(
        part is None
        # (An encoder of no prompts learns nothing.)
        or (part.get("num_prompts") != 0 and getattr(MODELS.get(part["type"]), "learns", True))
        for part in parts
    )


def use_mixed_precision(cfg: Config) -> None:
    """What ``--amp`` changes in a config: the optimiser's wrapper, if it trains at all."""
    if cfg.get("optim_wrapper"):
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def find_checkpoint(path: str) -> str:
    """The checkpoint that an argument means; URLs stay as they are.

    Raises:
        InputError: there is no such file; names the checkpoints beside it, newest first.
    """
    if "://" in path or find_path(path).is_file():
        return path if "://" in path else str(find_path(path))
    places = (Path(path), Path(path).parent, find_path(path), find_path(path).parent)
    folder = next((place for place in places if place.is_dir()), Path())
    near = sorted(folder.glob("*.pth"), key=lambda file: -file.stat().st_mtime)[:3]
    hint = " There is" + ",".join(f" {file}" for file in near) + "." if near else ""
    raise InputError(f"no checkpoint {path!r}.{hint} tools/train.py writes them into its work dir.")


def load_config(args: argparse.Namespace, trains: bool = True) -> Config:
    """Read the config that the arguments of :func:`make_parser` name, and apply them to it.

    Args:
        args: what was typed.
        trains: False for a test, in which options of the training are errors.

    Raises:
        InputError: there is no such config, or an option changes nothing that a run reads.
    """
    path = find_config(args.config)
    cfg = read_config(path)
    variable, starter = _STARTED_BY.get(args.launcher, (None, None))
    if variable and variable not in os.environ:
        raise InputError(f"--launcher {args.launcher}: start this program by {starter}")
    cfg.launcher = args.launcher
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    apply_options(cfg, args.cfg_options, trains)
    for mode in ("val", "test"):
        if cfg.get(LOADERS[mode]) is None:  # mmengine refuses the rest without it
            cfg[f"{mode}_cfg"] = cfg[f"{mode}_evaluator"] = None
    for loader in (cfg.get(name) or {} for name in LOADERS.values()):
        if not loader.get("num_workers") and loader.get("persistent_workers"):
            loader["persistent_workers"] = False  # torch refuses it where nothing persists
        if loader and torch.cuda.is_available():  # copied to it faster
            loader.setdefault("pin_memory", True)
        for dataset in iter_datasets(loader.get("dataset")):
            if args.unseen is not None:
                dataset["unseen"] = args.unseen
    cfg.default_hooks = cfg.get("default_hooks") or {}
    hooks = [*cfg.default_hooks.values(), *(cfg.get("custom_hooks") or ())]
    for name, kind in _HOOKS.items():
        if cfg.default_hooks.get(name, kind) is None:
            raise InputError(f"default_hooks.{name}=None: a run needs its {kind}")
        if not any(hook and hook.get("type") == kind for hook in hooks):
            cfg.default_hooks[name] = dict(type=kind)
    deterministic = getattr(args, "deterministic", False)
    if deterministic or (cfg.get("randomness") or {}).get("deterministic"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's products ask for it
    if cfg.get("load_from") and "://" not in cfg.load_from:
        cfg.load_from = str(find_path(cfg.load_from))
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = os.path.join("work_dirs", path.stem)
    return cfg
