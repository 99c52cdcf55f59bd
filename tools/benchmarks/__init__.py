"""What tools/benchmark.py measures, what it compares with, and how."""

import zegclip  # noqa: F401  (first: makes mmseg and open_clip importable)
