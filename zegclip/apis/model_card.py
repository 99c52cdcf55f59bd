"""A model's README on the Hub: how to use it, its words, what it scored and how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub as hub

from zegclip.errors import InputError
from zegclip.evaluation.protocol import protocol_line
from zegclip.evaluation.scores import COLUMNS, CROSS_DATASET_COLUMNS
from zegclip.evaluation.training import other_model
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

_CARD = """---
{metadata}
---

# {name}

Zero-shot semantic segmentation: a {head} over {clip}, which is frozen and not in here.

```python
from zegclip.apis import ZeroShotInferencer

inferencer = ZeroShotInferencer.from_pretrained("{name}")
result = inferencer("photo.jpg", ["cat", "a red bus"])
```

```bash
python tools/image_demo.py photo.jpg --model {name} --classes "cat, a red bus"
```

`model.safetensors` holds what is learned, `config.json` is data: nothing of this repository is run.

## Words

{words}

## Scores

{scores}

## Licence

Of what is learned: {licence}. CLIP's weights have their own.
"""


def read_report(
    path: str | Path, model: ZeroShotSegmentor, meta: Mapping[str, Any]
) -> dict[str, Any]:
    """A ``report.json`` of a model, without the folders of this machine.

    Args:
        path: the report's path.
        model: the model whose test it should report.
        meta: what the model's checkpoint says of its training.

    Raises:
        InputError: it cannot be read, or is of another CLIP, another training or other settings.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        protocol = report["protocol"]
        theirs = protocol["clip"]["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no report of tools/test.py: {error!r}") from error
    if theirs != model.clip_source["fingerprint"]:
        raise InputError(f"{path} is of a model with another CLIP: test this one (tools/test.py)")
    for key, ours in (("training", "training"), ("iteration", "iter"), ("seed", "seed")):
        value = meta.get(ours)
        if None not in (value, protocol.get(key)) and protocol[key] != value:
            raise InputError(
                f"{path} is of another model ({key} {protocol[key]}, not {value}): test this one "
                "(tools/test.py)"
            )
    if settings := other_model(protocol.get("other_settings") or ()):
        raise InputError(
            f"{path} is of a test with other settings than the training's ({', '.join(settings)}): "
            "test the model as it was trained (tools/test.py)"
        )
    if protocol.get("checkpoint"):
        protocol["checkpoint"] = Path(protocol["checkpoint"]).name
    return report


def model_card(
    name: str, model: ZeroShotSegmentor, report: Mapping[str, Any] | None, licence: str
) -> str:
    """The text of ``README.md``.

    Args:
        name: the model's, ``"user/name"`` on the Hub, or its folder's.
        model: the model, with its vocabulary.
        report: from :func:`read_report`; ``None``: the model's scores are not known.
        licence: licence of the learned weights; ``"unknown"`` where nobody has said it.
    """
    metadata = hub.ModelCardData(
        license=licence,
        library_name="zegclip",
        pipeline_tag="image-segmentation",
        tags=["zero-shot", "semantic-segmentation", "clip"],
        model_name=name,
        eval_results=_results(report) if report else None,
    )
    clip = model.clip_source
    return _CARD.format(
        metadata=metadata.to_yaml(),
        name=name,
        head=type(model.decode_head).__name__,
        clip=f"CLIP {clip['model_name']} ({clip['weights']})",
        words=_words(model.dataset_meta),
        scores=_scores(report) if report else "None were given.",
        licence="unknown, nobody has said it" if licence == "unknown" else licence,
    )


def _columns(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a report has, by their names."""
    names = COLUMNS | CROSS_DATASET_COLUMNS
    return {name: round(report[key], 1) for key, name in names.items() if key in report}


def _results(report: Mapping[str, Any]) -> list[Any]:
    data = report["protocol"]["dataset"]
    return [
        hub.EvalResult(
            task_type="image-segmentation",
            dataset_type=data,
            dataset_name=data,
            metric_type=name,
            metric_value=value,
        )
        for name, value in _columns(report).items()
    ]


def _words(meta: Mapping[str, Any] | None) -> str:
    if not meta:
        return "It has none of its own: it takes any."
    vocabulary = Vocabulary.from_metainfo(meta)
    unseen = () if vocabulary.setting == "supervised" else vocabulary.unseen
    seen = [each for each in vocabulary.classes if each not in unseen]
    text = f"Trained with masks of {len(seen)} classes: {', '.join(seen)}."
    if unseen:
        text += f"\n\nUnseen, {vocabulary.setting} setting: {', '.join(unseen)}."
    return text + "\n\nIt takes any others."


def _scores(report: Mapping[str, Any]) -> str:
    protocol, columns = report["protocol"], _columns(report)
    command = f"python tools/test.py configs/{protocol.get('config')}.py"
    if protocol.get("checkpoint"):
        command += f" {protocol['checkpoint']}"
    return "\n".join(
        [
            f"| {' | '.join(columns)} |",
            "|" + "---|" * len(columns),
            f"| {' | '.join(map(str, columns.values()))} |",
            "",
            f"{protocol_line(protocol)}; seed {protocol.get('seed')}, iteration "
            f"{protocol.get('iteration')}. Each class's IoU: `report.json`.",
            "",
            f"```bash\n{command}    # code {protocol.get('code')}\n```",
        ]
    )
