"""What the papers claim, as comparisons of two numbers, and which of it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .comparison_rows import LONG
from .comparison_tables import NOTHING, difference
from .markdown_table import markdown


class Claim(NamedTuple):
    """What a paper says, as a comparison of two numbers of an analysis.

    Attributes:
        paper: whose claim it is; says so where the yardstick is ours and the paper states none.
        text: the claim, then what is compared.
        ours: row and path of the number; ``{}`` becomes ``_long`` in the column of that schedule.
        sign: ``">"`` or ``"<"``: how it should be.
        theirs: row and path of what it is compared with.
    """

    paper: str
    text: str
    ours: tuple[str, str]
    sign: str
    theirs: tuple[str, str]


YARDSTICK = "TagCLIP (our yardstick)"
ZEGCLIP, TAGCLIP, LDVC = "zegclip{}", "tagclip{}", "ldvc{}"
TAKEN, REVERSE = "scores/unseen_pixels_given_seen", "scores/seen_pixels_given_unseen"
MAP, MARGIN = "trusty map/on_objects/AUROC", "margin/on_objects/AUROC"
TESTED, BEST = "calibration/hIoU_as_tested", "calibration/hIoU_with_best_gamma"
UNSEEN, LOST = "scores/mIoU_U", "training/mIoU_U_lost_since"
PIECES, DRIFT = "fragments/all/fragments_per_object", "tokens/unseen/drift_decoded"
FROM_CLIP = "tokens/unseen/drift_from_clip"
AFTER, BEFORE = (f"tokens/unseen/patch_and_own_class_{when}" for when in ("after", "before"))
# fmt: off
CLAIMS = (
    Claim("TagCLIP", "unseen pixels are misidentified as seen: by the baseline more than the "
          "reverse (% of pixels)", (ZEGCLIP, TAKEN), ">", (ZEGCLIP, REVERSE)),
    Claim("TagCLIP", "TagCLIP misidentifies fewer unseen pixels as seen than the baseline "
          "(% of pixels)",
          (TAGCLIP, TAKEN), "<", (ZEGCLIP, TAKEN)),
    Claim(YARDSTICK, "the trusty map tells seen from unseen: better than the masks' own margin "
          "(AUROC on objects)", (TAGCLIP, MAP), ">", (TAGCLIP, MARGIN)),
    Claim(YARDSTICK, "weighting by the trusty map is better than the best γ (hIoU)",
          (TAGCLIP, TESTED), ">", (TAGCLIP, BEST)),
    Claim("TagCLIP", "gain on unseen classes (mIoU(U), baseline's second)",
          (TAGCLIP, UNSEEN), ">", (ZEGCLIP, UNSEEN)),
    Claim("both", "overfitting on seen classes: trained longer, the baseline loses unseen ones "
          "(mIoU(U))", (ZEGCLIP, UNSEEN), "<", ("zegclip", UNSEEN)),
    Claim("LDVC", "LDVC loses less of its best validation than the baseline (mIoU(U))",
          (LDVC, LOST), "<", (ZEGCLIP, LOST)),
    Claim("LDVC", "small fragments: fewer in an object than the baseline's",
          (LDVC, PIECES), "<", (ZEGCLIP, PIECES)),
    Claim("LDVC", "fewer small fragments than without LCSA",
          (LDVC, PIECES), "<", ("ldvc_without_lcsa{}", PIECES)),
    Claim("LDVC", "semantic drift: the head moves unseen class embeddings less than the "
          "baseline's (1 - cosine)", (LDVC, DRIFT), "<", (ZEGCLIP, DRIFT)),
    Claim("LDVC", "semantic drift: those that masks are made with are nearer to CLIP's than the "
          "baseline's, moved by language prompts as they are (1 - cosine)",
          (LDVC, FROM_CLIP), "<", (ZEGCLIP, FROM_CLIP)),
    Claim("LDVC", "contraction toward class embeddings: the decoder moves unseen patches to "
          "their class (cosine after, before)", (LDVC, AFTER), ">", (LDVC, BEFORE)),
    Claim("LDVC", "gain on unseen classes (mIoU(U), baseline's second)",
          (LDVC, UNSEEN), ">", (ZEGCLIP, UNSEEN)),
)
# fmt: on


def table(analysis: Mapping[str, Any]) -> str:
    """Which claims show: the difference has the claimed sign, or the opposite, with p < 0.05."""
    rows = [
        [claim.paper, claim.text, *(_verdict(claim, analysis, each) for each in ("", "_long"))]
        for claim in CLAIMS
    ]
    if not any(cell for row in rows for cell in row[2:]):
        return NOTHING
    return markdown([["paper", "claim", "usual schedule", f"{LONG} times as long"], *rows])


def _verdict(claim: Claim, analysis: Mapping[str, Any], schedule: str) -> str:
    """Shown, not shown or its opposite, with the two numbers, their difference and the seeds.

    Empty: not measured.
    """
    places = [(row.format(schedule), path) for row, path in (claim.ours, claim.theirs)]
    ours, theirs = (_numbers(analysis, *place) for place in places)
    found = difference(ours, theirs)
    if found is None or places[0] == places[1]:
        return ""
    seeds = ours.keys() & theirs.keys()  # of which the difference is
    means = " / ".join(f"{np.mean([v[seed] for seed in seeds]):.3g}" for v in (ours, theirs))
    if len(seeds) == 1:
        return f"one seed: {means}, {found}"
    word = "not shown"
    if found.p < 0.05:
        word = "**shown**" if (found.mean > 0) == (claim.sign == ">") else "**the opposite**"
    return f"{word}: {means}, {found}, {len(seeds)} seeds"


def _numbers(analysis: Mapping[str, Any], row: str, path: str) -> dict[int | None, float]:
    """A number of a row's analyses by seed; empty where there is none."""
    seeds, runs = (analysis.get(key, {}).get(row, []) for key in ("seeds", "results"))
    found = {seed: number_at(run, path) for seed, run in zip(seeds, runs, strict=True)}
    return {seed: value for seed, value in found.items() if value is not None}


def number_at(run: Mapping[str, Any], path: str) -> float | None:
    """A number of one analysis, by section and keys."""
    value: Any = run
    for key in path.split("/"):
        value = value.get(key) if value else None
    return value
