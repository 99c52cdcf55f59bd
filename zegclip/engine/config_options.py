"""What a config and ``--cfg-options`` may set: what some part of a run reads."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from zegclip.datasets.from_config import LOADERS
from zegclip.errors import InputError

# What mmengine's runner and our tools read of a config; every other top-level name is a variable.
_READ = {*inspect.signature(Runner.__init__).parameters} - {"self", "cfg", "launcher"} | {
    "activation_checkpointing",
    "compile",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "sync_bn",
    "tta_model",
    "tta_pipeline",
}
_OF_TRAINING = frozenset(
    {
        "activation_checkpointing", "auto_scale_lr", "efficient_conv_bn_eval", "load_from",
        "optim_wrapper", "param_scheduler", "resume", "train_cfg", "train_dataloader", "val_cfg",
        "val_dataloader", "val_evaluator",
    }
)  # fmt: skip
# Settings of the data sets that are often a config's own names as well.
_OF_DATASETS = ("classes", "data_root", "img_suffix", "setting", "synonyms", "unseen")
_SPACE = "\0"  # stands for a space: mmengine's DictAction deletes spaces
# Of these mmengine takes what it knows and passes over the rest.
_READ_BELOW = {
    "auto_scale_lr": ("base_batch_size", "enable"),
    "env_cfg": ("cudnn_benchmark", "dist_cfg", "mp_cfg", "resource_limit"),
}


class ConfigOptions(DictAction):
    """mmengine's ``KEY=VALUE``; spaces inside values stay, and a clear message for what is none."""

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        # mmengine's own deletes every space: "a photo of a {}" would become "aphotoofa{}".
        text = re.sub(r"\s*([,)\]])", r"\1", re.sub(r"([,(\[])\s*", r"\1", val.strip()))
        return _with_spaces(DictAction._parse_iterable(text.replace(" ", _SPACE)))

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        try:
            super().__call__(parser, namespace, values, option_string)
        except (ValueError, AssertionError):  # no "=", or brackets that are not closed
            parser.error(f"{option_string} {' '.join(values)}: give KEY=VALUE, lists as [1,2]")


def _with_spaces(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_with_spaces, value))
    return value.replace(_SPACE, " ") if isinstance(value, str) else value


def check_variables(cfg: Config) -> None:
    """Refuse names of a config that were meant for a part of a run, and that none reads.

    A config may have names of its own, of which other settings are made. One that is in no other
    setting is an error where it looks like a misspelt part (``modle``), or is called as a setting
    of the data sets (``unseen``, which the loaders of a base config do not follow).

    Args:
        cfg: as it was read, without options.

    Raises:
        InputError: there is such a name; says what to set.
    """
    content = cfg.to_dict()
    read = {key: value for key, value in content.items() if key in _READ}
    settings = [value for _, value in _entries(read)]
    for name, value in content.items():
        if name in _READ or _is_used(name, value, settings):
            continue
        if name in _OF_DATASETS and value is not None:
            loaders = " = ".join(each for each in LOADERS.values() if content.get(each))
            setting = f"{name}={name}"
            if name == "classes":
                setting = f"metainfo=dict({setting})"
            raise InputError(
                f"{cfg.filename}: no part of a run reads {name}={value!r}, the data sets have "
                f"settings of their own: add {loaders} = dict(dataset=dict({setting}))"
            )
        # (A base's test_pipeline, which no loader is left to use, is no misspelt tta_pipeline.)
        close = difflib.get_close_matches(name, _READ - {"tta_pipeline"}, 1, cutoff=0.8)
        if close and isinstance(value, (dict, list)):
            raise InputError(
                f"{cfg.filename}: no part of a run reads {name} (did you mean {close[0]!r}?)"
            )


def _is_used(name: str, value: Any, settings: Sequence[Any]) -> bool:
    """Whether one of the settings was made of a config's own name."""
    if isinstance(value, str):
        return any(value in text for text in settings if isinstance(text, str))
    # A base's dict, such as synonyms, may have been extended since.
    extended = name in _OF_DATASETS and isinstance(value, dict) and value
    parts = value.values() if extended else [value]
    return all(any(p == s and type(p) is type(s) for s in settings) for p in parts)


def apply_options(cfg: Config, options: Mapping[str, Any] | None, trains: bool = True) -> None:
    """Change a config as ``--cfg-options`` says; see :func:`check_options`.

    Raises:
        InputError: an option changes nothing that a run reads, or cannot be applied.
    """
    check_options(cfg, options or {}, trains)
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError) as error:  # an index behind a list's end, a key of no dict
        raise InputError(f"--cfg-options cannot be applied: {error.args[0]:.200}") from None


def check_options(cfg: Config, options: Mapping[str, Any], trains: bool = True) -> None:
    """Refuse ``--cfg-options`` that no part of a run reads: they would change nothing, silently.

    Args:
        cfg: the config, without the options.
        options: values by dotted key.
        trains: False for a test, in which those of the training are errors.

    Raises:
        InputError: a misspelt key, or a variable from which other keys were computed when the
            config was read; names the key that counts or the one probably meant.
    """
    read = _READ if trains else _READ - _OF_TRAINING
    for option in options:
        key, _, rest = option.partition(".")
        below = rest.partition(".")[0]
        if key in _READ_BELOW and below and below not in _READ_BELOW[key]:
            _refuse(option, difflib.get_close_matches(below, _READ_BELOW[key], 1), f"{key}.")
        # (Where the model has its own, mmengine does not look at the one beside it.)
        shadowed = key == "data_preprocessor" and key in (cfg.get("model") or {})
        if key in read and not shadowed:
            continue
        if key in _READ and not shadowed:
            _refuse(f"{option} (of the training)", [])
        computed = cfg.get(key)
        places = ["--unseen CLASS CLASS ..."] if key == "unseen" else []
        for path, value in _entries({n: v for n, v in cfg.to_dict().items() if n in read - {key}}):
            same = isinstance(value, (list, tuple, dict, str)) and value == computed
            if same or path.rpartition(".")[2] == key:
                places.append(path)
        _refuse(option, places[:4] or difflib.get_close_matches(key, read, 1))


def _refuse(option: str, meant: list[str], prefix: str = "") -> None:
    hint = "; set " + " and ".join(prefix + place for place in meant) if meant else ""
    raise InputError(f"--cfg-options {option}: no part of a run reads it{hint}")


def _entries(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a nested config with its dotted key, the outermost first."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in items:
        place = f"{path}.{key}" if path else str(key)
        yield place, inner
        if isinstance(inner, (Mapping, list, tuple)):
            yield from _entries(inner, place)
