"""The one exception that speaks to the user."""

from __future__ import annotations


class InputError(ValueError):
    """What was given cannot be used: a config, class, label, image, checkpoint or other file.

    The message names the culprit and the fix; the tools print it without a traceback. Every other
    exception is a bug and keeps its traceback.
    """
