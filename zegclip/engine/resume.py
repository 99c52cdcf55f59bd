"""A run that was stopped at any moment, and resumed, is the run that was never stopped."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner, find_latest_checkpoint
from mmseg.registry import HOOKS

from zegclip.errors import InputError
from zegclip.files import as_checkpoint, read_checkpoint

from .config_files import find_checkpoint


def latest_checkpoint(work_dir: str | Path) -> tuple[str, int | None] | None:
    """The newest checkpoint of a work dir that is whole, and its run's seed.

    Only this work dir's: mmengine would fall back to load_from. The file is looked for in this
    folder, because the work dir may have been moved. Files that cannot be read are reported on
    stderr and skipped; what a killed run has half written is removed.

    Raises:
        InputError: the newest one is gone, or none can be read.
    """
    folder = Path(work_dir)
    for part in folder.glob(".[ei][pt]*_*.*-*.pth"):
        part.unlink(missing_ok=True)
    # (Not what somebody has copied or published: iter_2000_old.pth, iter_2000-1a2b3c4d.pth.)
    saved = [file for file in folder.glob("*.pth") if re.fullmatch(r"(iter|epoch)_\d+", file.stem)]
    saved.sort(key=lambda file: int(file.stem.rpartition("_")[2]), reverse=True)
    # (Empty, or not there yet, where the run was killed between the checkpoint and its name.)
    if named := find_latest_checkpoint(work_dir):
        places = folder / Path(named).name, Path(named)
        last = find_checkpoint(str(next((p for p in places if p.is_file()), places[0])))
        saved = [Path(last), *(file for file in saved if file.name != Path(last).name)]
    for file in saved:
        try:
            meta = as_checkpoint(read_checkpoint(file), str(file)).get("meta") or {}
            return str(file), meta.get("seed")
        except InputError as error:
            print(f"warning: {error}; going on from the one before it", file=sys.stderr)
    if saved:
        raise InputError(
            f"no checkpoint in {work_dir} can be read: without --resume it begins anew"
        )
    return None


@HOOKS.register_module()
class ResumeHook(Hook):
    """What mmengine's resuming leaves out.

    - Random numbers (dropout) depend on the seed and the iteration, not on what was drawn before:
      in every run, so that a resumed one has the same.
    - The validation after a checkpoint's iteration, which a run may have been stopped in, is made.
    """

    priority = "LOWEST"  # the validation needs what other hooks prepare

    def before_train(self, runner: Runner) -> None:
        """Validate where the run may have been stopped while it did."""
        loop, step = runner.train_loop, runner.iter
        if not isinstance(loop, IterBasedTrainLoop) or runner.val_loop is None or not step:
            return
        due = step % loop.val_interval == 0 or step == loop.max_iters
        if due and step >= loop.val_begin:
            runner.val_loop.run()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Let the iteration's random numbers begin at its own place."""
        # (Each process its own; the first one's are a single process's.)
        entropy = [runner.seed, runner.iter, get_rank()]
        words = np.random.SeedSequence(entropy).generate_state(1).tolist()
        torch.manual_seed(words[0])
