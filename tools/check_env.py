#!/usr/bin/env python
"""Show what is installed and found against what was tested, and how to mend what is missing."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Only the standard library is imported here: this script is for when the rest does not work.
OK, DIFFERS, MISSING, OPTIONAL = "ok", "differs", "MISSING", "optional"
# Without these neither training nor testing starts; the others are checkers.
NOT_REQUIRED = {"pytest", "ruff", "mypy"}
INSTALL = "make setup   (or: python -m pip install -r requirements.txt)"


@dataclass
class Row:
    """One line of the table.

    Attributes:
        what: a package, a file, a data set, a device.
        found: its version or place; empty if there is none.
        tested: what it was tested with, or where it belongs.
        status: ``ok``, ``differs`` (may work), ``MISSING`` (required) or ``optional`` (not there,
            and only some runs need it).
        mend: the command that mends it.
    """

    what: str
    found: str
    tested: str
    status: str
    mend: str = ""


def tested_versions(requirements: Path, python: tuple[int, int]) -> dict[str, str]:
    """The exact pins of a requirements file that apply to a Python version."""
    pins = {}
    marker = re.compile(r'python_version\s*(>=|<)\s*"(\d+)\.(\d+)"')
    for line in requirements.read_text(encoding="utf-8").splitlines():
        requirement, _, condition = line.partition("#")[0].partition(";")
        name, pinned, version = requirement.strip().partition("==")
        limit = marker.search(condition)
        if limit:
            newer = python >= (int(limit[2]), int(limit[3]))
            if newer != (limit[1] == ">="):
                continue
        if pinned:
            pins[name.strip()] = version.strip()
    return pins


def check_python() -> Row:
    """The interpreter."""
    fine = sys.version_info >= (3, 10)
    mend = "" if fine else "make clean && PYTHON=python3.11 make setup"
    return Row("Python", platform.python_version(), ">= 3.10", OK if fine else MISSING, mend)


def check_packages(pins: dict[str, str]) -> Iterator[Row]:
    """Installed against tested versions; a local part such as ``+cpu`` makes no difference."""
    for name, tested in pins.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            status = OPTIONAL if name in NOT_REQUIRED else MISSING
            yield Row(name, "", tested, status, INSTALL)
            continue
        same = found.partition("+")[0] == tested
        yield Row(name, found, tested, OK if same else DIFFERS, "" if same else INSTALL)


def check_import() -> Row:
    """Whether the stack and our packages import together."""
    for name in ("zegclip", "tagclip", "ldvc"):
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever it is, it is what the user has to know
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            mend = "apt-get install libgl1 libglib2.0-0" if "libG" in reason else INSTALL
            return Row(f"import {name}", reason, "", MISSING, mend)
    return Row("import zegclip, tagclip, ldvc", "works", "", OK)


def check_devices() -> Iterator[Row]:
    """GPU and cores."""
    import torch

    from zegclip.compat import available_cores

    if torch.cuda.is_available():
        yield Row("CUDA", f"{torch.version.cuda}, {torch.cuda.get_device_name()}", "", OK)
    elif shutil.which("nvidia-smi") is None:
        yield Row("CUDA", "no GPU", "for full-size training", OPTIONAL)
    elif torch.version.cuda:
        yield Row("CUDA", "torch sees no GPU", "for full-size training", OPTIONAL, "nvidia-smi")
    else:
        mend = f"python -m pip install --force-reinstall torch=={torch.__version__.split('+')[0]}"
        yield Row("CUDA", "torch is a CPU build", "for full-size training", OPTIONAL, mend)
    yield Row("cores", f"{available_cores()}, {torch.get_num_threads()} thread(s)", "2", OK)


def check_clip_weights() -> Iterator[Row]:
    """The CLIP weights that the model configs name."""
    from mmengine.config import Config

    from zegclip.clip import check_clip

    seen = set()
    for file in sorted((ROOT / "configs" / "_base_" / "models").glob("*.py")):
        clip = Config.fromfile(file, import_custom_modules=False).model.get("clip")
        key = clip and (clip["model_name"], clip["weights"])
        if not key or key in seen:
            continue
        seen.add(key)
        message = check_clip(*key)
        found = "" if message else key[1]
        status = OPTIONAL if message else OK
        yield Row(f"CLIP {Path(key[0]).stem}", found, key[1], status, message or "")


def check_datasets() -> Iterator[Row]:
    """The data sets that configs/_base_/datasets describes."""
    from mmengine.config import Config

    from zegclip.engine.preflight import find_missing_data, iter_datasets, makes_itself

    for file in sorted((ROOT / "configs" / "_base_" / "datasets").glob("*.py")):
        cfg = Config.fromfile(file, import_custom_modules=False)
        if "type" not in cfg.train_dataloader.dataset:  # what the others are based on
            continue
        name, roots = f"data set {file.stem}", set()
        for loader in (cfg.get(f"{mode}_dataloader") or {} for mode in ("train", "val", "test")):
            for dataset in iter_datasets(loader.get("dataset")):
                roots.add("made on first use" if makes_itself(dataset) else dataset["data_root"])
        missing = find_missing_data(cfg)
        if not missing:
            yield Row(name, ", ".join(sorted(roots)), "", OK)
        for data in missing:
            found = f"without {', '.join(data.parts)}" if data.parts else ""
            yield Row(name, found, str(data.root), OPTIONAL, data.how_to_get())


def collect() -> list[Row]:
    """All rows; what needs a working installation only where there is one."""
    pins = tested_versions(ROOT / "requirements.txt", sys.version_info[:2])
    rows = [check_python(), *check_packages(pins), check_import()]
    if rows[-1].status == OK:
        rows += [*check_devices(), *check_clip_weights(), *check_datasets()]
    return rows


def show(rows: list[Row]) -> None:
    """Print the table, then the command for each thing that is not as it should be."""
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except ImportError:
        for row in rows:
            print(f"{row.status:9}{row.what:32}{row.found or '-':24}{row.tested}")
    else:
        colours = {OK: "green", DIFFERS: "yellow", MISSING: "bold red", OPTIONAL: "cyan"}
        table = Table("", "found", "tested / belongs at", "")
        for row in rows:
            status = f"[{colours[row.status]}]{row.status}[/]"
            table.add_row(escape(row.what), escape(row.found or "-"), escape(row.tested), status)
        Console().print(table)
    said = set()
    for row in rows:
        if row.mend and row.mend not in said:
            said.add(row.mend)
            others = [other.what for other in rows if other.mend == row.mend]
            print(f"\n{', '.join(others)} ({row.status}):")
            print("  " + row.mend.replace("\n", "\n  "))


def main() -> int:
    """Exit status 1 if something that every run needs is missing or broken."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example:\n  python tools/check_env.py --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args()
    rows = collect()
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows)
    return int(any(row.status == MISSING for row in rows))


if __name__ == "__main__":
    sys.exit(main())
