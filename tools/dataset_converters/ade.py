"""ADE20K as it was used in the scene parsing challenge of 2016: the archive's own layout."""

from __future__ import annotations

from mmseg.datasets import ADE20KDataset

from .data_set import Archive, DataSet, Split
from .work import Work

CHALLENGE = Archive(
    "ADEChallengeData2016.zip",
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    1.0,
)


def prepare(work: Work) -> None:
    """Unpack the images and masks."""
    work.unpack(
        work.archives[CHALLENGE.name],
        r"(?:.*/)?ADEChallengeData2016/((?:images|annotations)/(?:training|validation)/"
        r"\w+\.(?:jpg|png)|\w+\.txt)",
    )


DATA_SET = DataSet(
    key="ade",
    title="ADE20K (ADEChallengeData2016)",
    root="ade/ADEChallengeData2016",
    archives=(CHALLENGE,),
    prepare=prepare,
    splits=(
        Split("train", 20_210, "images/training", ("annotations/training",)),
        Split("val", 2_000, "images/validation", ("annotations/validation",)),
    ),
    # (One of mmseg's names ends with a blank.)
    names=dict(enumerate(["other", *(n.strip() for n in ADE20KDataset.METAINFO["classes"])])),
    ignored=frozenset({0}),
    label_rule="0 everything else (ignored), 1..150 the classes",
)
