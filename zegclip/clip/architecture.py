"""What open_clip knows of a model, and which of its models fit."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip

from zegclip.errors import InputError
from zegclip.files import find_path


@dataclass(frozen=True)
class ClipArchitecture:
    """One open_clip model config.

    Attributes:
        name: open_clip's name, or the stem of the JSON file.
        config: its content.
        checked: whether the activation is known to fit the weights already.
        path: of the JSON file, if it is one.
    """

    name: str
    config: dict[str, Any]
    checked: bool = False
    path: Path | None = None

    @property
    def quick_gelu(self) -> bool:
        """Whether the towers use QuickGELU instead of GELU."""
        return bool(self.config.get("quick_gelu", False))

    @property
    def twin(self) -> str:
        """How to ask for the same model with the other activation."""
        if self.path is not None:
            return f'"quick_gelu": {str(not self.quick_gelu).lower()} in {self.path}'
        return f"model_name={self.twin_name!r}"

    @property
    def twin_name(self) -> str:
        """open_clip's name of the same model with the other activation."""
        suffix = "-quickgelu"
        return self.name.removesuffix(suffix) if self.quick_gelu else self.name + suffix

    def build(self) -> open_clip.CLIP:
        """The model with random weights."""
        return open_clip.CLIP(**self.config)

    def tokenizer(self) -> Any:
        """open_clip's tokenizer with this model's context length."""
        text = self.config["text_cfg"]
        if text.get("hf_tokenizer_name") or text.get("tokenizer_kwargs"):
            return open_clip.get_tokenizer(self.name)
        return open_clip.SimpleTokenizer(context_length=text.get("context_length", 77))


def find_architecture(model_name: str) -> ClipArchitecture:
    """Look up a model.

    Args:
        model_name: open_clip's name, or the path of a JSON config.

    Raises:
        InputError: unknown, or no ViT with its own text tower.
    """
    path = None
    if model_name.endswith(".json"):
        path = find_path(model_name)
        try:
            config = json.loads(path.read_text())
        except FileNotFoundError:
            raise InputError(f"CLIP config not found: {path}") from None
        except ValueError as error:
            raise InputError(f"{path} is no JSON: {error}") from error
        name = Path(model_name).stem
    else:
        name, config = model_name, open_clip.get_model_config(model_name)
        if config is None:
            close = difflib.get_close_matches(name, open_clip.list_models(), n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"open_clip has no model {name!r}{hint}")
    if problem := _unfit(config):
        raise InputError(
            f"{model_name}: {problem}; take a ViT of open_clip such as ViT-B-16-quickgelu"
        )
    return ClipArchitecture(name, config, path=path)


def _unfit(config: dict[str, Any]) -> str | None:
    """Why the prompted encoders cannot use a model, or ``None``."""
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config)
    if missing:
        return f"the config lacks {', '.join(sorted(missing))}"
    vision, text = config["vision_cfg"], config["text_cfg"]
    if vision.get("timm_model_name") or not isinstance(vision.get("layers", 12), int):
        return "its image tower is no plain ViT"
    if vision.get("attentional_pool") or vision.get("pool_type", "tok") == "none":
        return "its image tower pools by attention"
    if text.get("hf_model_name") or config.get("custom_text") or config.get("multimodal_cfg"):
        return "its text tower is not CLIP's"
    return None
