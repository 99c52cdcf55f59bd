"""A fingerprint tells protocols apart, and runs of one protocol not."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from zegclip.evaluation import protocol_fingerprint, protocol_line
from zegclip.evaluation.protocol import digest, image_names

CLIP = {"model_name": "ViT-B-16-quickgelu", "weights": "a.pt", "fingerprint": "ab" * 32}
PROTOCOL: dict[str, Any] = {
    "dataset": "PASCAL VOC 2012 (20 classes)",
    "images": 1449,
    "image_names": "abc",
    "setting": "inductive",
    "unseen": ["sofa", "train"],
    "num_classes": 20,
    "words": {"sofa": ["sofa"]},
    "ignore_rule": "background ignored",
    "clip": CLIP,
    "templates": ["a photo of a {}"],
    "inference": {"mode": "slide"},
    "normalisation": {"mean": [0.5]},
    "decoder": "project_first",
    "gamma": 0.1,
    "trusty_weighting": "both",
    "trusty_target": "seen",
}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3, "checkpoint": "other.pth", "iteration": 7, "stage": "test", "code": "0.2"},
        {"clip": CLIP | {"weights": "elsewhere.pt"}},
        dict(reversed(PROTOCOL.items())),
    ],
)
def test_the_run_does_not_count(change: dict[str, Any]) -> None:
    assert protocol_fingerprint(change | PROTOCOL | change) == protocol_fingerprint(PROTOCOL)


@pytest.mark.parametrize("key", [*PROTOCOL, "pipeline"])
def test_what_numbers_depend_on_counts(key: str) -> None:
    changed = {"clip": CLIP | {"fingerprint": "cd" * 32}}.get(key, "something else")
    assert protocol_fingerprint(PROTOCOL | {key: changed}) != protocol_fingerprint(PROTOCOL)


def test_line() -> None:
    line = protocol_line(PROTOCOL)
    assert line.startswith(f"protocol {protocol_fingerprint(PROTOCOL)}: PASCAL VOC 2012")
    for part in ("inductive", "2 of 20 classes unseen", "background ignored", "gamma 0.1",
                 "'a photo of a {}'", "slide inference", "trusty weighting both"):  # fmt: skip
        assert part in line


def test_images_of_equal_names_in_other_folders_are_other_images() -> None:
    class Frames(list[str]):
        data_prefix: ClassVar = {"img_path": "data/frames"}

        def get_data_info(self, index: int) -> dict[str, str]:
            return {"img_path": f"data/frames/{self[index]}"}

    def names(*images: str) -> str:
        return image_names(Frames(images))

    assert names("a/0.jpg", "b/0.jpg") == names("b/0.png", "a/0.png")
    assert names("a/0.jpg", "b/0.jpg") != names("c/0.jpg", "d/0.jpg")
    assert names("0.jpg", "1.jpg") == digest(["0", "1"])
