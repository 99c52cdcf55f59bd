"""Weights by an open_clip tag: a file of data/clip or of a cache, or downloaded once."""

from __future__ import annotations

import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub as hub

from zegclip.compat import ImportedLater, is_first_process
from zegclip.errors import InputError
from zegclip.files import find_path

open_clip = ImportedLater("open_clip")

FOLDER = "data/clip"


def find_tag(entry: Mapping[str, Any]) -> Path | None:
    """A tag's file, where it is on this machine.

    Args:
        entry: open_clip's description of the tag.

    Returns:
        The file of its own name in ``data/clip``, else the one that the Hugging Face Hub or
        open_clip has kept.
    """
    name = Path(entry.get("url", "")).name
    repository, names = _on_hub(entry)
    kept = [hub.try_to_load_from_cache(repository, each) for each in names if repository]
    found = [find_path(f"{FOLDER}/{name}"), *(Path(each) for each in kept if isinstance(each, str))]
    found.append(Path("~/.cache/clip").expanduser() / name)
    return next((path for path in found if path.is_file()), None)


def check_tag(model_name: str, tag: str, entry: Mapping[str, Any]) -> None:
    """``InputError`` if the file is not here and must not be downloaded (``HF_HUB_OFFLINE``)."""
    if hub.constants.HF_HUB_OFFLINE and find_tag(entry) is None:
        raise InputError(_not_here(model_name, tag, entry, "HF_HUB_OFFLINE is set"))


def fetch_tag(model_name: str, tag: str) -> Path:
    """A tag's file; where it is not on this machine, open_clip downloads it, with a progress bar.

    Raises:
        InputError: it cannot be downloaded; says how to put it in place.
    """
    entry = open_clip.get_pretrained_cfg(model_name, tag)
    if (path := find_tag(entry)) is not None:
        return path
    problems = []
    for from_hub in (True, False):
        if not entry.get("hf_hub" if from_hub else "url"):
            continue
        try:
            # Asked first: where the Hub cannot be reached, open_clip would try for a minute.
            size = _bytes_on_hub(entry) if from_hub else _bytes_at(entry["url"])
            where = hub.constants.HF_HUB_CACHE if from_hub else "~/.cache/clip"
            if is_first_process():
                text = (
                    f"downloading CLIP {model_name}, {tag} ({size / 1e6:.0f} MB), once, to {where}"
                )
                print(text, file=sys.stderr)
            if from_hub:
                return Path(open_clip.download_pretrained(entry))
            # (open_clip writes to the file itself, which another process may read meanwhile.)
            kept = Path("~/.cache/clip").expanduser()
            kept.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept) as part:
                file = open_clip.download_pretrained(entry, prefer_hf_hub=False, cache_dir=part)
                return Path(file).replace(kept / Path(file).name)
        except Exception as error:  # whatever the network or the Hub raises
            problems.append(str(error).split("\n")[0])
    reason = f"cannot be downloaded: {'; '.join(problems)}"
    raise InputError(_not_here(model_name, tag, entry, reason))


def _on_hub(entry: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The repository on the Hugging Face Hub, and names of the file in it, as open_clip looks."""
    repository, _, name = entry.get("hf_hub", "").rpartition("/")
    usual = [open_clip.constants.HF_SAFE_WEIGHTS_NAME, open_clip.constants.HF_WEIGHTS_NAME]
    return repository, [name] if name else usual


def _bytes_on_hub(entry: Mapping[str, Any]) -> int:
    """The file's size, 0 if a mirror does not tell it; raises the errors of the Hub's client."""
    repository, names = _on_hub(entry)
    for name in names:
        try:
            return hub.get_hf_file_metadata(hub.hf_hub_url(repository, name)).size or 0
        except hub.errors.EntryNotFoundError:  # it has the other one
            continue
    raise FileNotFoundError(f"{repository} has none of {names}")


def _bytes_at(url: str) -> int:
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.headers["Content-Length"])


def _not_here(model_name: str, tag: str, entry: Mapping[str, Any], reason: str) -> str:
    url, (repository, _) = entry.get("url"), _on_hub(entry)
    ways = []
    if url:
        ways.append(f"download {url} and put it at {FOLDER}/{Path(url).name}")
    if repository:
        kept = f"{hub.constants.HF_HUB_CACHE}/models--{repository.replace('/', '--')}"
        ways.append(f"`hf download {repository}` where there is a network, and bring {kept} here")
    return (
        f"the CLIP weights {tag!r} of {model_name} are not on this machine ({reason}). By hand: "
        + "; or ".join(ways)
    )
