"""The one exception that speaks to the user, and how it helps with a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was given cannot be used: a config, class, label, image, checkpoint or other file.

    The message names the culprit and the fix; the tools print it without a traceback. Every other
    exception is a bug and keeps its traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `` (did you mean 'gamma'?)``, or nothing."""
    close = difflib.get_close_matches(name, list(known))
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
