#!/usr/bin/env python
"""Show what is installed and found against what was tested, and how to get what is missing.

example: python tools/check_env.py
"""

# Only the standard library is imported here: this script is for when the rest does not work.
from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTALL = "make setup   (or: python -m pip install -r requirements.txt)"
# The extras of setup.py: for tests, export, the web page and videos.
EXTRAS = {
    *("hypothesis", "mypy", "pytest", "ruff", "selenium"),
    *("onnx", "onnxruntime", "onnxscript"),
    *("av", "gradio", "tensorboard"),
}


def packages() -> Iterator[tuple[str, str]]:
    """What of requirements.txt is missing or has another version; one line for all others."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        yield "MISSING", "packaging, and all that comes with it"
        return
    fine = 0
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if not line.partition("#")[0].strip():
            continue
        requirement = Requirement(line.partition("#")[0])
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield "optional" if requirement.name in EXTRAS else "MISSING", str(requirement)
            continue
        if requirement.specifier.contains(found.partition("+")[0], prereleases=True):
            fine += 1
        else:
            yield "differs", f"{requirement.name} {found}, tested with {requirement.specifier}"
    yield "ok", f"{fine} packages as tested"


def stack() -> tuple[str, str]:
    """Whether our packages import."""
    for name in ("zegclip", "tagclip", "ldvc"):
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever it is, it is what the user has to know
            fix = "apt-get install libgl1 libglib2.0-0" if "libG" in str(error) else INSTALL
            return "MISSING", f"import {name}: {type(error).__name__}: {error}\n{fix}"
    return "ok", "zegclip, tagclip and ldvc can be imported"


def weights_and_data() -> Iterator[tuple[str, str]]:
    """The CLIP weights and data sets that the configs in ``configs/_base_`` name."""
    from mmengine.config import Config

    from zegclip.clip import is_downloaded
    from zegclip.engine.start_up import missing

    rows: dict[str, list[str]] = {}  # names by what is missing, which is said once
    for file in sorted((ROOT / "configs" / "_base_").glob("*/*.py")):
        cfg = Config.fromfile(file, import_custom_modules=False)
        data = cfg.get("train_dataloader", {}).get("dataset", {})
        clip = cfg.get("model", {}).get("clip")
        if "type" in data or clip:
            lacking = "".join(f"\n{text}" for text in missing(cfg))
            if clip and not lacking and not is_downloaded(**clip):
                lacking = f"\nCLIP weights {clip.weights!r}: not here yet, downloaded at first use"
            rows.setdefault(lacking, []).append(f"{file.parent.name}/{file.name}")
    for lacking, names in rows.items():
        yield "optional" if lacking else "ok", f"{', '.join(names)}{lacking}"


def main() -> None:
    """Exit status 1 if something that every run needs is missing or broken."""
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    python = "ok" if sys.version_info >= (3, 10) else "MISSING"
    rows = [(python, f"Python {platform.python_version()} (3.10 or newer)")]
    rows += [*packages(), stack()]
    if rows[-1][0] == "ok":
        import torch

        gpu = torch.cuda.is_available()
        device = torch.cuda.get_device_name() if gpu else "no GPU: for full-size training"
        if not gpu and shutil.which("nvidia-smi"):
            cuda = torch.version.cuda
            device = (
                f"torch {torch.__version__} finds no GPU, and nvidia-smi is here: "
                + (f"is the driver too old for CUDA {cuda}?" if cuda else "it is a build for CPUs.")
                + "\nTake a torch (2.6 or newer) for the driver's CUDA from pytorch.org, in an "
                "environment of your own,\nand then pip install -e ."
            )
        rows += [("ok" if gpu else "optional", device), *weights_and_data()]
    for status, text in rows:
        print(f"{status:10}" + text.replace("\n", "\n" + 12 * " "))
    statuses = {status for status, _ in rows}
    if {"MISSING", "differs"} & statuses:
        print(f"To install what was tested: {INSTALL}")
    if "MISSING" in statuses:
        raise SystemExit(1)


if __name__ == "__main__":
    main()  # not through zegclip.engine.launch.run, which needs what is checked here
