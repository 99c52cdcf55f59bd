"""LDVC: language-driven visual consensus (in preparation)."""

import zegclip  # noqa: F401  (first: prepares the stack and registers what is shared)
