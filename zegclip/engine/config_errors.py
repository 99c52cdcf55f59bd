"""One message for settings that a part of a config refuses while it is built."""

from __future__ import annotations

import inspect
import re
import traceback
from typing import Any

from mmengine.registry.build_functions import build_from_cfg

from zegclip.errors import did_you_mean

# Every part of a run goes through this function of mmengine's.
_BUILDS = build_from_cfg.__code__
_UNEXPECTED = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


def refused_settings(error: Exception) -> str | None:
    """The message of an error that came from building a part of the config; else ``None``.

    A misspelt ``type`` or setting, one that is missing, or a value that the part refuses. The
    place in the code is named too, because a part of one's own may be wrong itself.

    Args:
        error: as it was caught.
    """
    stack = list(traceback.walk_tb(error.__traceback__))
    built = [frame.f_locals for frame, _ in stack if frame.f_code is _BUILDS]
    if not built or not isinstance(error, (TypeError, ValueError, AssertionError, KeyError)):
        return None
    part, (last, line) = built[-1], stack[-1]
    if "obj_type" not in part:
        return f"a part of the config has no type, or its name is misspelt: {part['cfg']}"
    kind = part.get("obj_cls")
    if kind is None and last.f_code is _BUILDS:  # there is no part of this name
        return _unknown(str(part["obj_type"]), part["registry"])
    if kind is None or isinstance(error, KeyError):  # such as a bug in the part
        return None
    if found := _UNEXPECTED.search(str(error)):
        name, setting = found.groups()
        own = setting in part["args"]
        hint = did_you_mean(setting, _settings(kind) - {setting} if own else ())
        return f"{kind.__name__ if own else name} takes no setting {setting!r}{hint}"
    place = f"{last.f_code.co_filename}:{line}"
    values = [f"{k}={v!r}" for k, v in part["args"].items() if isinstance(v, (int, float, str))]
    given = f" from {', '.join(values)}" if values else ""
    return f"{kind.__name__} of the config cannot be built{given}: {error} ({place})"


def _unknown(name: str, registry: Any) -> str:
    known: set[str] = set()
    scope = registry
    while scope is not None:
        known |= scope.module_dict.keys()
        scope = scope.parent
    return (
        f"type={name!r} is no {registry.name} that is known{did_you_mean(name, known)}; one of "
        "your own is imported by the config's custom_imports"
    )


def _settings(kind: Any) -> set[str]:
    """Arguments of a class and of those that it is derived from."""
    makers = [each.__init__ for each in getattr(kind, "__mro__", [])] or [kind]
    return {name for each in makers for name in inspect.signature(each).parameters}
