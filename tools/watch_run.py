#!/usr/bin/env python
"""Does a training's memory, or its number of open files, grow? Runs it and reports the slopes.

All arguments are those of tools/train.py. Memory is what its processes do not share; the first
quarter of the iterations is left out.

example: python tools/watch_run.py configs/zegclip_mini_inductive.py \
    --cfg-options train_cfg.max_iters=2000 train_cfg.val_interval=200
"""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import numpy as np

from zegclip.engine.launch import run
from zegclip.errors import InputError


def process_tree(pid: int) -> list[int]:
    """A process and all below it."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in listed for each in process_tree(int(child)))]


def measure(pid: int) -> tuple[float, int]:
    """Memory of a process and its children in MB, and their open files."""
    kilobytes = files = 0
    for each in process_tree(pid):
        text = Path(f"/proc/{each}/smaps_rollup").read_text()
        kilobytes += sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE)))
        files += len(list(Path(f"/proc/{each}/fd").iterdir()))
    return kilobytes / 1024, files


def main() -> None:
    """Run tools/train.py; measure whenever its log says an iteration."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    _, options = parser.parse_known_args()
    if not Path("/proc/self/smaps_rollup").is_file():
        raise InputError("memory is read in Linux's /proc, which is not here")
    train = [sys.executable, "-u", str(Path(__file__).with_name("train.py")), *options]
    rows = []
    with subprocess.Popen(train, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        for line in training.stdout:
            if found := re.search(r"Iter\(train\) +\[ *(\d+)/", line):
                try:
                    rows.append((int(found[1]), *measure(training.pid)))
                except OSError:  # a process has just ended
                    continue
                print("iteration {}: {:.1f} MB, {} files".format(*rows[-1]), flush=True)
    if training.returncode or len(rows) < 8:
        raise SystemExit(training.returncode or "too few lines of the log to measure a slope")
    iterations, megabytes, files = np.array(rows[len(rows) // 4 :], float).T
    for name, values in (("MB", megabytes), ("open files", files)):
        slope = 1000 * np.polyfit(iterations, values, 1)[0]
        print(f"{name}: {slope:+.2f} in 1,000 iterations ({values[0]:.0f} to {values[-1]:.0f})")


if __name__ == "__main__":
    run(main)
