"""Files: where relative paths are looked for, how one is replaced, how a checkpoint is read."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from .errors import InputError

_PACKAGE = Path(__file__).resolve().parent
# The folder that holds configs, tools and data/mini: the checkout, or what a wheel brings along
# (mmsegmentation's convention).
PROJECT_ROOT = _PACKAGE / ".mim" if (_PACKAGE / ".mim").is_dir() else _PACKAGE.parent

# Under this name a checkpoint's meta is in the metadata of a safetensors file, as JSON.
SAFETENSORS_META = "zegclip_meta"


def find_path(path: str | Path) -> Path:
    """Resolve a path of a config, so that every tool runs from any folder.

    Args:
        path: absolute, or relative to the working directory or to the project's folder.

    Returns:
        The path itself if it is absolute or exists from here; else its place in the project's
        folder, whether something is there or not.
    """
    path = Path(path).expanduser()
    if path.is_absolute() or path.exists():
        return path
    return PROJECT_ROOT / path


def cache_folder() -> Path:
    """The user's cache folder: ``$ZEGCLIP_CACHE``, else ~/.cache/zegclip."""
    return Path(os.environ.get("ZEGCLIP_CACHE") or "~/.cache/zegclip").expanduser()


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file so that a reader sees the old content or the new one, never half of it.

    Args:
        path: the file; its folder is made.

    Yields:
        A path in the same folder, with the same suffix, to write to. It takes the file's place at
        the end, and is removed if an exception is raised.

    Example:
        >>> with replacing("report.json") as part:
        ...     part.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that it is only renamed; the suffix often says the format. (Of the
    # name a part: it may be as long as the file system allows.)
    part = path.with_name(f".{path.stem[:20]}.{os.getpid()}-{threading.get_ident()}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, whole or not at all, as :func:`replacing` does.

    Args:
        path: the file; its folder is made.
        text: its content. Bytes of a file's name that are no text (Python's lone surrogates) are
            written as JSON's escapes.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_checkpoint(
    file: str | os.PathLike[str],
    map_location: Any = "cpu",
    also: Sequence[tuple[Any, str]] = (),
) -> Any:
    """Read a checkpoint as data: tensors, numbers, text and containers of them, nothing else.

    Args:
        file: what ``torch.save`` wrote, or a ``.safetensors`` file: a state dict, beside its meta
            where there is any.
        map_location: as in :func:`torch.load`.
        also: further harmless types that may be in the file, with their dotted names. (torch keeps
            them in a list of the whole process meanwhile, so this is for programs.)

    Raises:
        InputError: there is no such file, it is broken, or it holds something else than data.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"checkpoint not found: {file}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        with torch.serialization.safe_globals(list(also)):
            return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(
                f"{file} is refused: it holds more than plain data ({named[1]}), and opening "
                "such a file can run any code in it. Get it as safetensors or as a plain state "
                "dict; if it is your own, save its 'state_dict' alone where it was made"
            ) from None
        with path.open("rb") as content:
            is_page = content.read(100).lstrip()[:1] == b"<"
        cut = "broken, cut short, or not written by torch.save?"
        reason = "a web page, such as a download's login or error" if is_page else cut
        raise InputError(f"{file} cannot be read as a checkpoint ({reason})") from error


def read_url(address: str) -> Any:
    """As :func:`read_checkpoint`, of a file at an http(s) address; downloaded, and not kept.

    Raises:
        InputError: it is another address, cannot be downloaded, or what is there cannot be read.
    """
    if not address.startswith(("https://", "http://")):
        raise InputError(f"{address}: a checkpoint is a file, or at an http(s) address")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint.pth"
        try:
            torch.hub.download_url_to_file(address, str(file))
        except OSError as error:
            raise InputError(f"{address} cannot be downloaded: {error}") from error
        try:
            return read_checkpoint(file)
        except InputError as error:  # name the address, not the temporary file
            raise InputError(str(error).replace(str(file), address)) from error


def as_checkpoint(content: Any, name: str) -> dict[str, Any]:
    """What was read of a file, if it has a checkpoint's form: a state dict, or one beside its meta.

    Raises:
        InputError: it has another form, or a weight that is NaN.
    """
    parts = [content.get(key) for key in ("state_dict", "meta")] if type(content) is dict else []
    if not isinstance(content, dict) or any(not isinstance(part or {}, dict) for part in parts):
        raise InputError(
            f"{name} holds a {type(content).__name__} that is no checkpoint: give a file that "
            "tools/train.py wrote, or a state dict"
        )
    for key, value in (content.get("state_dict") or content).items():
        # (What is expanded takes no memory yet; a crafted one may be of any size.)
        if torch.is_tensor(value) and value.is_contiguous() and value.isnan().any():
            raise InputError(
                f"{name}: the weight {key} is NaN, so the training that wrote it had gone wrong: "
                "take an earlier checkpoint, or train anew"
            )
    return content


def _read_safetensors(path: Path) -> Any:
    try:
        state = load_file(path)
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get(SAFETENSORS_META, "null"))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from error
    return state if meta is None else {"state_dict": state, "meta": meta}
