"""What the scripts that run a config share: arguments, finding the config, checks before work."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config, DictAction

from zegclip.compat import limit_threads
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT, find_path

from .preflight import preflight


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
        action=DictAction,
        metavar="KEY=VALUE",
        help='override settings of the config, e.g. train_cfg.max_iters=100 or key="[a,b]"',
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

    Args:
        path: as typed: relative to the current folder, to the repository or to its configs, with
            or without ``.py``.

    Raises:
        SystemExit: there is no such config; names the ones with similar names.
    """
    for candidate in (path, f"configs/{path}", f"{path}.py", f"configs/{path}.py"):
        found = find_path(candidate)
        if found.is_file():
            return found
    names = {file.name: file for file in sorted((PROJECT_ROOT / "configs").glob("*.py"))}
    close = difflib.get_close_matches(Path(path).name, names, n=3, cutoff=0.5) or list(names)[:5]
    hint = "".join(f"\n  configs/{name}" for name in close)
    raise SystemExit(f"error: no config {path!r}." + (f" Did you mean{hint}" if hint else ""))


def methods_with(data: str) -> list[str]:
    """The methods that have a config ``{method}_{data}_inductive.py``, ours first.

    So that a new method's configs are all that the tools need to know of it.
    """
    ending = f"_{data}_inductive"
    found = {file.stem.removesuffix(ending) for file in PROJECT_ROOT.glob(f"configs/*{ending}.py")}
    ours = [name for name in ("zegclip", "tagclip", "ldvc") if name in found]
    return ours + sorted(found - set(ours))


def find_checkpoint(path: str) -> str:
    """The checkpoint that an argument means; URLs stay as they are.

    Raises:
        SystemExit: there is no such file; names the checkpoints beside it, newest first.
    """
    if "://" in path or find_path(path).is_file():
        return path if "://" in path else str(find_path(path))
    places = (Path(path), Path(path).parent, find_path(path), find_path(path).parent)
    folder = next((place for place in places if place.is_dir()), Path())
    near = sorted(folder.glob("*.pth"), key=lambda file: -file.stat().st_mtime)[:3]
    hint = " There is" + ",".join(f" {file}" for file in near) + "." if near else ""
    raise SystemExit(
        f"error: no checkpoint {path!r}.{hint} tools/train.py writes them into its work dir."
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config that the arguments of :func:`make_parser` name, and apply them to it."""
    path = find_config(args.config)
    cfg = Config.fromfile(path)
    cfg.launcher = args.launcher
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if cfg.get("load_from") and "://" not in cfg.load_from:
        cfg.load_from = str(find_path(cfg.load_from))
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = os.path.join("work_dirs", path.stem)
    return cfg


def _is_message(error: BaseException) -> bool:
    """Whether an error speaks to the user: an exception that our packages define, or a
    ``ValueError`` that they raise (a setting that cannot be). Others are bugs."""
    ours = ("zegclip", "tagclip", "ldvc")
    if type(error).__module__.partition(".")[0] in ours:
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return type(error) is ValueError and raised_in.partition(".")[0] in ours


def _said(error: BaseException) -> str:
    """An error's message; of one in a data loader's process, without its traceback."""
    text = str(error)
    if not text.startswith("Caught ") or "DataLoader worker" not in text:
        return text
    return text.rpartition(f"{type(error).__name__}: ")[2].strip() or text


@contextmanager
def error_messages() -> Iterator[None]:
    """Within, what our packages refuse ends the script with one message, not a traceback."""
    try:
        yield
    except Exception as error:
        if not _is_message(error):
            raise
        first = os.environ.get("RANK", "0") == "0"  # not once for every process
        raise SystemExit(f"error: {error}" if first else 1) from None


@contextmanager
def ready(cfg: Config, modes: Sequence[str], data_only: bool = False) -> Iterator[None]:
    """Around a run: what is missing or refused ends it with one message instead of a traceback.

    Args:
        cfg: the complete config.
        modes: the loops that will run: any of ``train``, ``val``, ``test``.
        data_only: no model is made: only the data must be there.
    """
    try:
        preflight(cfg, modes, data_only)
        loaders = [cfg.get(f"{mode}_dataloader") or {} for mode in modes]
        limit_threads(max((loader.get("num_workers", 0) for loader in loaders), default=0))
        yield
    except (InputError, Exception) as error:
        if not _is_message(error):
            raise
        first = os.environ.get("RANK", "0") == "0"  # not once for every process
        message = str(error) if isinstance(error, InputError) else f"error: {_said(error)}"
        raise SystemExit(message if first else 1) from None
    finally:
        # Its threads would be ended with the process, which gloo's do not always survive.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def run(main):
    """Stub until the lead's version: call main(), print an InputError as ``error: ...``."""
    try:
        raise SystemExit(main())
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
