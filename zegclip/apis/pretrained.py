"""A model as a folder, here or on the Hugging Face Hub: what is learned, and a config as data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import huggingface_hub as hub
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from safetensors.torch import save_file

from zegclip.clip import PromptedImageEncoder, TextEncoder
from zegclip.errors import InputError
from zegclip.evaluation.training import check_as_trained
from zegclip.files import PROJECT_ROOT, SAFETENSORS_META, replacing, write_text
from zegclip.heads import ZeroShotHead
from zegclip.losses import MaskLoss
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

from .model_card import model_card, read_report
from .preprocessing import check_steps, image_steps

CONFIG, WEIGHTS, VERSION = "config.json", "model.safetensors", 1
# The parts of a config's model that have a type, and the class that each must be of. With any other
# type, or a key like "_scope_", an untrusted config could make mmengine import and build anything.
_KINDS: dict[tuple[str, ...], type] = {
    ("model",): ZeroShotSegmentor,
    ("model", "data_preprocessor"): SegDataPreProcessor,
    ("model", "image_encoder"): PromptedImageEncoder,
    ("model", "text_encoder"): TextEncoder,
    ("model", "decode_head"): ZeroShotHead,
    ("model", "decode_head", "loss"): MaskLoss,
}
_OF_THE_MODEL = ("type", "clip", "image_encoder", "text_encoder", "decode_head", "pseudo_labels")
_LARGEST_NUMBER, _MOST_LAYERS = 2**16, 64
_LARGEST_FILES = {CONFIG: 2**20, WEIGHTS: 2**31}  # bytes


def fetch(name: str, revision: str | None = None) -> Path:
    """The folder of a model.

    Args:
        name: the folder, or ``"user/name"`` on the Hub; from there what is not in its cache is
            downloaded, and nothing beside the two files.
        revision: a branch, tag or commit on the Hub.

    Raises:
        InputError: there is no such folder, and it cannot be downloaded.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise InputError(f"{name} is a folder, which has no revision {revision!r}")
        return folder
    try:
        files = [CONFIG, WEIGHTS]
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # whatever the network or the Hub raises
        raise InputError(
            f"{name} is no folder, and cannot be fetched from {_reason(error)}"
        ) from error


def read(folder: Path) -> tuple[Config, str]:
    """Read an untrusted folder as data.

    Returns:
        The config, and the path of the learned weights, as
        :class:`~zegclip.apis.ZeroShotInferencer` takes them.

    Raises:
        InputError: a file is missing or far too large, or the config is not one of ours.
    """
    for name, largest in _LARGEST_FILES.items():
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}: save_pretrained() writes both")
        if (size := (folder / name).stat().st_size) > largest:
            raise InputError(f"{folder / name} has {size} bytes, and may have {largest}")
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("zegclip") != VERSION:
            raise InputError(f"not written by save_pretrained() (version {VERSION})")
        check(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # whatever is wrong with a text of anybody's
        raise InputError(f"{path} cannot be used: {error!r}") from error
    plain = {key: content[key] for key in ("model", "test_pipeline", "dataset_meta")}
    return Config(plain, filename=str(path)), str(folder / WEIGHTS)


def check(content: Mapping[str, Any]) -> None:
    """``InputError`` if a config asks for more than our own models and plain values."""
    # It imports the methods of this project.
    Config.fromfile(PROJECT_ROOT / "configs/_base_/default_runtime.py")
    _check_plain(content["model"], ("model",))
    _check_plain(content["test_pipeline"], ("test_pipeline",))
    check_steps(content["test_pipeline"])
    if (weights := content["model"]["clip"].get("weights", "")).startswith("random"):
        raise InputError(f"model.clip.weights={weights!r} cannot be in a model's {CONFIG}")
    if content["dataset_meta"] is not None:
        Vocabulary.from_metainfo(content["dataset_meta"])
    clip = content["model"]["clip"]
    if set(clip) != {"model_name", "weights"}:
        raise InputError(f"model.clip holds {sorted(clip)}, not model_name and weights")
    for key, value in clip.items():
        path = PurePath(value)
        if path.is_absolute() or ".." in path.parts or value.startswith("~"):
            raise InputError(
                f"model.clip.{key}={value!r} is a file of one machine: give a tag of open_clip, or "
                "a path that counts from the project's folder on every machine, data/clip/..."
            )


def _check_plain(value: Any, place: tuple[str, ...]) -> None:
    name = ".".join(place)
    if isinstance(value, dict):
        kind = _KINDS.get(place)
        for key, inner in value.items():
            if key == "type" and (kind or place[0] == "test_pipeline"):
                continue
            # (A part's own clip, a folder that would be written to, padding to any size.)
            misplaced = key in ("type", "cache_dir") or (key == "clip" and place != ("model",))
            misplaced |= key == "test_cfg" and place != ("model",)
            if misplaced or not key.isidentifier() or key.startswith("_"):
                raise InputError(f"{name}.{key} cannot be in a model's {CONFIG}")
            _check_plain(inner, (*place, key))
        if kind and ("type" in value or kind is not MaskLoss):
            found = MODELS.module_dict.get(value.get("type"))
            if not (isinstance(found, type) and issubclass(found, kind)):
                raise InputError(
                    f"{name}.type={value.get('type')!r} is no {kind.__name__} of this project "
                    "(one of your own must be imported first)"
                )
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_plain(inner, (*place, str(index)))
    elif isinstance(value, (int, float)):
        largest = _MOST_LAYERS if place[-1] == "num_layers" else _LARGEST_NUMBER
        if not math.isfinite(value) or abs(value) > largest:
            raise InputError(f"{name}={value} is no number for a model")
    elif not isinstance(value, (str, type(None))):
        raise InputError(f"{name} is a {type(value).__name__}, not a plain value")


def write(
    folder: Path,
    cfg: Config,
    model: ZeroShotSegmentor,
    name: str,
    report: str | Path | None,
    licence: str,
    trained: Mapping[str, Any],
) -> None:
    """Write the two files, ``README.md``, and ``report.json`` where there is one.

    Args:
        folder: where they go; it is made.
        cfg: the config that the model was built from.
        model: the trained model.
        name: the model's name in its card.
        report: path of the report of a test of the model.
        licence: licence of the learned weights.
        trained: what the model's checkpoint says of its training (its ``meta``).

    Raises:
        InputError: the config is not the training's or holds what cannot be data, the report is of
            another model, or files that would be replaced are not a model's that this wrote.
    """
    check_as_trained(trained, cfg)
    _check_own(folder)
    content = _config(cfg, model)
    check(content)
    scores = read_report(report, model, trained) if report else None
    (folder / "report.json").unlink(missing_ok=True)  # of other weights
    # What it was trained on, for who starts from it or tests it.
    meta = {
        "dataset_meta": content["dataset_meta"],
        "trained_before": _plain(trained.get("trained_before") or []),
        **{key: trained.get(key) for key in ("training", "iter")},
    }
    state = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(state, part, metadata={"format": "pt", SAFETENSORS_META: json.dumps(meta)})
    texts = {CONFIG: json.dumps(content, indent=2, ensure_ascii=False)}
    texts["README.md"] = model_card(name, model, scores, licence)
    if scores:
        texts["report.json"] = json.dumps(scores, indent=2, ensure_ascii=False)
    for file, text in texts.items():
        write_text(folder / file, text + "\n")


def _config(cfg: Config, model: ZeroShotSegmentor) -> dict[str, Any]:
    """What of a model's config is published, as plain data."""
    own, meta = cfg.model, model.dataset_meta or {}
    keys = ("classes", "unseen", "synonyms", "setting", "palette", "dataset_name")
    content = _plain(
        {
            "zegclip": VERSION,
            "model": {
                **{key: own[key] for key in _OF_THE_MODEL if key in own},
                "data_preprocessor": own.get("data_preprocessor") or cfg.get("data_preprocessor"),
                "test_cfg": model.test_cfg,
            },
            "test_pipeline": image_steps(cfg),
            "dataset_meta": {key: meta[key] for key in keys if meta.get(key) is not None} or None,
        }
    )
    content["model"]["text_encoder"].pop("cache_dir", None)
    content["model"]["decode_head"].pop("loss", None)
    return content


def _check_own(folder: Path) -> None:
    try:
        if "zegclip" in json.loads((folder / CONFIG).read_text(encoding="utf-8")):
            return
    except (OSError, ValueError, TypeError):  # there is none, or of something else
        pass
    found = [file for file in ("README.md", CONFIG, "report.json") if (folder / file).exists()]
    card = folder / "README.md"
    if card.is_file() and card.read_bytes().startswith(b"---"):
        found.remove(card.name)  # the Hub's own, of a model without files yet
    if found:
        raise InputError(
            f"{folder} holds a {found[0]} that is no model's written here, and it would be "
            "replaced: give a folder of its own"
        )


def push(folder: Path, name: str, private: bool | None, revision: str | None) -> str:
    """Upload a folder to the Hub; returns the commit's address.

    Raises:
        InputError: the Hub cannot be reached, or refuses it.
    """
    try:
        api = hub.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            revision=revision,
            delete_patterns="report.json",  # one of other weights
        )
    except Exception as error:  # whatever the network or the Hub raises
        raise InputError(f"{name} cannot be put on {_reason(error)}") from error
    return done.commit_url


def _reason(error: Exception) -> str:
    return f"{hub.constants.ENDPOINT}: {' '.join(str(error).split())[:300]}"


def _plain(value: Any) -> Any:
    """A part of a config as plain dicts and lists, as JSON has them (tuples become lists)."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
