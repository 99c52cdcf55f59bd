"""``python -m zegclip SCRIPT [arguments]``: run a script with our packages prepared.

Ours are found from any folder, also after ``pip install`` (``tools/...`` comes along).
mmsegmentation's own scripts work too: alone, they import mmseg first, which fails where torchvision
does not fit torch (see :mod:`zegclip.compat`)::

    python -m zegclip tools/train.py configs/zegclip_mini_inductive.py
    python -m zegclip path/to/mmsegmentation/tools/train.py configs/zegclip_voc_inductive.py
"""

from __future__ import annotations

import runpy
import sys

from zegclip.engine.launch import run
from zegclip.errors import InputError
from zegclip.files import find_path


def main() -> None:
    """Run the script as if it had been started itself."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        return
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    script = find_path(sys.argv[1])
    if not script.is_file():
        raise InputError(f"no script {sys.argv[1]!r}")
    sys.argv[:2] = [str(script)]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    run(main)
