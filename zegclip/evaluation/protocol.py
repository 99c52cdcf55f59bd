"""What a reported number depends on, and a fingerprint of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zegclip.vocabulary import Vocabulary

# Which run it was: differs between runs of one protocol.
OF_THE_RUN = frozenset(
    {
        "checkpoint", "code", "config", "deterministic", "device", "fingerprint", "iteration",
        "labels", "max_iters", "predictions", "predictions_folder", "seed", "stage", "start",
        "trained_images", "training",
    }
)  # fmt: skip
# Of these, what must be the same in runs that are averaged, in words for a message.
ALIKE = {
    "start": "what they started from",
    "trained_images": "which images they were trained on",
    "labels": "the masks they were judged by",
}


def data_protocol(dataset: Any) -> dict[str, Any]:
    """The part of the protocol that a data set with a vocabulary in its metainfo says."""
    metainfo = dataset.metainfo
    vocabulary = Vocabulary.from_metainfo(metainfo)
    return {
        "dataset": metainfo.get("dataset_name", "unknown"),
        "images": len(dataset),
        "image_names": image_names(dataset),
        "setting": vocabulary.setting,
        "unseen": list(vocabulary.unseen),
        "num_classes": len(vocabulary.classes),
        "words": {name: [*words] for name, words in zip(vocabulary.classes, vocabulary.words)},
        "ignore_rule": metainfo.get("ignore_rule", "unknown"),
    }


def image_names(dataset: Any) -> str:
    """A digest of a data set's images: two halves of one may hold equally many.

    It is of their paths within the data set's folder of images, without suffix.
    """
    folder = (getattr(dataset, "data_prefix", None) or {}).get("img_path") or ""
    paths = [dataset.get_data_info(index).get("img_path", index) for index in range(len(dataset))]
    names = []
    for path in map(str, paths):
        within = Path(path).is_relative_to(folder) if folder else False
        name = Path(path).relative_to(folder) if within else Path(Path(path).name)
        names.append(name.with_suffix("").as_posix())
    return digest(sorted(names))


def protocol_fingerprint(protocol: Mapping[str, Any]) -> str:
    """12 hexadecimal digits, equal for runs of one method that were judged alike.

    Which run it was (checkpoint, seed, iteration, code) does not count, nor the order of the keys,
    nor where the CLIP weights lie: they have a fingerprint of their own.
    """
    content = {key: value for key, value in protocol.items() if key not in OF_THE_RUN}
    clip = content.get("clip")
    if isinstance(clip, Mapping) and clip.get("fingerprint"):
        content["clip"] = clip["fingerprint"]
    return digest(content)


def digest(content: Any) -> str:
    """12 hexadecimal digits of what can be written as JSON."""
    text = json.dumps(content, sort_keys=True, allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """The protocol in a line of a log: its fingerprint, and what people ask for first."""
    parts = [
        protocol["dataset"],
        f"{protocol['images']} images",
        protocol["setting"],
        f"{len(protocol['unseen'])} of {protocol['num_classes']} classes unseen",
        protocol["ignore_rule"],
    ]
    if clip := protocol.get("clip"):
        parts.append(f"CLIP {clip['model_name']} {clip.get('fingerprint', '')[:8]}".strip())
    if templates := protocol.get("templates"):
        parts.append(
            f"template {templates[0]!r}" if len(templates) == 1 else f"{len(templates)} templates"
        )
    if inference := protocol.get("inference"):
        parts.append(f"{inference['mode']} inference")
        if any(step.get("type") == "TestTimeAug" for step in protocol.get("pipeline", ())):
            parts.append("test-time augmentation")
        # What the head adds to it: numbers and names, each by its own key. (In the dict they stand
        # behind "inference", as ZeroShotSegmentor.protocol() puts them.)
        parts += [
            f"{key.replace('_', ' ')} {protocol[key]}"
            for key in [*protocol][[*protocol].index("inference") + 1 :]
            if key not in OF_THE_RUN and isinstance(protocol[key], (int, float, str))
        ]
    return f"protocol {protocol_fingerprint(protocol)}: {', '.join(parts)}"
