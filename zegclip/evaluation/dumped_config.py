"""The config that mmengine dumps beside a run's results, read as data: nothing in it is run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any


def read_dumped_config(path: str | Path) -> dict[str, Any]:
    """The settings of a dumped config by name.

    mmengine writes one assignment a setting, of literals and ``dict(...)``. Reading only these
    makes a folder of somebody else's results safe to look into, which importing it is not.

    Args:
        path: the ``.py`` file.

    Raises:
        ValueError: it holds anything else, or cannot be read.
    """
    try:
        return parse_dumped_config(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no config that mmengine dumped: {error}") from error


def parse_dumped_config(text: str) -> dict[str, Any]:
    """As :func:`read_dumped_config`, for the text that a checkpoint carries.

    Raises:
        ValueError: it holds anything but settings.
    """
    try:
        return dict(_assignment(statement) for statement in ast.parse(text).body)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id, _value(statement.value)
    raise ValueError(f"line {statement.lineno} is no assignment of a setting")


def _value(node: ast.expr) -> Any:
    """A literal, in which a dict may also be ``dict(key=value)`` or ``dict({key: value})``."""
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id != "dict":
            raise ValueError(f"line {node.lineno} calls something")
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError(f"line {node.lineno} unpacks something")
        settings: dict[Any, Any] = {}
        for argument in node.args:
            if not isinstance(argument, ast.Dict) or len(node.args) > 1:
                raise ValueError(f"line {node.lineno} makes a dict of something")
            settings |= _value(argument)
        return settings | {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError(f"line {node.lineno} unpacks something")
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    return ast.literal_eval(node)
