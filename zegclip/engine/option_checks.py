"""Misspelt types and options of a config's model, found before anything is built."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

# Read by mmengine itself, not by a constructor.
_OF_MMENGINE = {"type", "_scope_", "_delete_"}


def unknown_options(config: Any, path: str = "model") -> Iterator[str]:
    """What in a model config no constructor takes, a sentence each.

    Args:
        config: the config of a module; modules inside it are looked at too.
        path: its name in the config.
    """
    if not isinstance(config, Mapping):
        return
    if "type" in config:
        yield from _of_module(config, path)
    for key, value in config.items():
        yield from unknown_options(value, f"{path}.{key}")


def _of_module(config: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = config["type"]
    made_by = kind
    if isinstance(kind, str):
        with DefaultScope.overwrite_default_scope("mmseg"):
            made_by = MODELS.get(kind)
        if made_by is None:
            yield (
                f"{path}.type={kind!r} is not registered{_close(kind, MODELS.module_dict)}; a "
                "module of your own must be named in custom_imports.imports"
            )
            return
    name = getattr(made_by, "__name__", str(kind))
    known = _parameters(made_by)
    if known is not None:
        for key in config:
            if key not in known | _OF_MMENGINE:
                yield f"{path} ({name}) has no option {key!r}{_close(key, known)}"


def _parameters(made_by: Callable[..., Any]) -> set[str] | None:
    """The words that a constructor takes, those of its bases with it where it hands them on;
    ``None`` if it takes any."""
    found: set[str] = set()
    if not inspect.isclass(made_by):
        constructors = [made_by]
    else:
        constructors = [c.__dict__["__init__"] for c in made_by.__mro__ if "__init__" in c.__dict__]
    for constructor in constructors:
        try:
            parameters = inspect.signature(constructor).parameters.values()
        except (TypeError, ValueError):
            return None
        found |= {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            return found
    return None


def _close(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]!r}?" if close else ""
