"""ADE20K as it was used in the scene parsing challenge of 2016."""

from __future__ import annotations

import re

from mmseg.datasets import ADE20KDataset

from .description import Archive, DataDescription, Split
from .work import Step, Work

CHALLENGE = Archive(
    "ADEChallengeData2016.zip",
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    1.0,
)
DESCRIPTION = DataDescription(
    key="ade",
    title="ADE20K (ADEChallengeData2016)",
    root="ade/ADEChallengeData2016",
    class_words=("ADE",),
    folder_words=("adechallengedata", "ade20k"),
    archives=((CHALLENGE,),),
    splits=(
        Split("train", 20_210, "images/training", ("annotations/training",)),
        Split("val", 2_000, "images/validation", ("annotations/validation",)),
    ),
    # (One of mmseg's names ends with a blank.)
    names={0: "other"}
    | {i: name.strip() for i, name in enumerate(ADE20KDataset.METAINFO["classes"], start=1)},
    ignored=frozenset({0}),
    has_void=False,
    layout="images/{training,validation}/*.jpg, annotations/{training,validation}/*.png",
    label_rule="0 everything else (ignored), 1..150 the classes",
)
_MEMBER = re.compile(
    r"(?:.*/)?ADEChallengeData2016/("
    r"images/(?:training|validation)/\w+\.jpg|annotations/(?:training|validation)/\w+\.png|"
    r"\w+\.txt)"
)


def steps(work: Work) -> list[Step]:
    """What makes the layout of :data:`DESCRIPTION`: the archive's own."""

    def select(name: str) -> str | None:
        match = _MEMBER.fullmatch(name)
        return match[1] if match else None

    return [work.extraction(work.archive(CHALLENGE.name), select, "images and masks")]
