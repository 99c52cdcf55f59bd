"""``python -m zegclip SCRIPT [arguments]``: run any script of mmseg's with our packages prepared.

mmseg's own scripts import mmseg first, which fails where torchvision does not fit torch (see
:mod:`zegclip.compat`). Started this way, they run wherever ours do::

    python -m zegclip path/to/mmsegmentation/tools/train.py configs/zegclip_voc_inductive.py
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from zegclip.engine.launch import run


def main() -> None:
    """Run the script as if it had been started itself."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        raise SystemExit(__doc__)
    if not Path(sys.argv[1]).is_file():
        raise SystemExit(f"error: no script {sys.argv[1]!r}")
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    run(main)
