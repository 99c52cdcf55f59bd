"""The rows of the comparison on the mini benchmark (tools/compare.py), as data.

Within a group the rows are in the order in which they are run, the most telling first. An ablation
changes a part that a paper claims to matter. A remedy is a variant that a paper's text allows,
tried because the method shows no gain; those of the recipe, which are no method's own, are tried
with the baseline as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

HEAD = "model.decode_head"
DECODER = f"{HEAD}.decoder"
IMAGE, TEXT = "model.image_encoder", "model.text_encoder"
LONG = 4  # times the usual length, in the group of that name
GROUPS = ("main", "ablations", "settings", "long", "remedies")


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    Attributes:
        title: what the tables say.
        method: whose configs and whose learning rate it takes.
        group: the table that it stands in.
        options: changes of the config, as ``--cfg-options`` takes them.
        setting: the last word of its config; a transductive one starts from the main row's
            checkpoint at half the schedule. Empty: the config is only tested.
        retest: the main row's last checkpoint is tested with the options; nothing is trained.
        analysed: whether docs/analysis.md shows it.
        leaks: whether training sees masks of unseen objects.
    """

    title: str
    method: str
    group: str
    options: dict[str, Any] = field(default_factory=dict)
    setting: str = "inductive"
    retest: bool = False
    analysed: bool = False
    leaks: bool = False

    @property
    def config(self) -> str:
        """The path of its config."""
        return f"configs/{'_'.join(filter(None, (self.method, 'mini', self.setting)))}.py"

    @property
    def half(self) -> bool:
        """Whether it goes on from half of the schedule, for the other half."""
        return self.setting.startswith("transductive")


def under(path: str, **options: Any) -> dict[str, Any]:
    """Options of one part of a config."""
    return {f"{path}.{key}": value for key, value in options.items()}


TITLES = {"zegclip": "ZegCLIP", "tagclip": "TagCLIP", "ldvc": "LDVC"}
SETTINGS = {
    "transductive": "self-training on unseen pixels (†)",
    "transductive-all-unlabelled": "self-training on all unlabelled pixels",
    "supervised": "supervised (ceiling)",
}
# Of TagCLIP: what supervises the trusty map, what it weights at test, how it is made.
TRUSTY: dict[str, tuple[str, dict[str, Any]]] = {
    "unseen_gt": (
        "trusty map supervised with unseen masks",
        under(HEAD, trusty_target="unseen_gt")
        | {"train_dataloader.dataset.pipeline.2.keep_unseen_map": True},
    ),
    **{
        f"weighting_{word}": (f"map weights {classes}", under(HEAD, trusty_weighting=word))
        for word, classes in (
            ("none", "no class"),
            ("seen", "seen classes only"),
            ("unseen", "unseen classes only"),
        )
    },
    "attend_first": ("attention before projection", under(HEAD, structure="attend_first")),
}
# Of LDVC: its parts left out, k of 16 regions (4 usually), and p x p regions of which a quarter
# is attended to.
CONSENSUS: dict[str, tuple[str, dict[str, Any]]] = {
    "without_lcsa": ("without LCSA", under(DECODER, local_consensus=False)),
    "without_language_prompts": ("without language prompts", under(TEXT, num_prompts=0)),
    **{f"k{k}": (f"k = {k} of 16", under(DECODER, topk=k)) for k in (1, 8, 16)},
    **{f"p{p}": (f"p = {p}", under(DECODER, regions_per_side=p, topk=p * p // 4)) for p in (2, 8)},
}
# Of the recipe: dropout and start as published, ignored pixels no negatives, prompts before the
# first half of the blocks only, one layer less in the decoder.
RECIPE: dict[str, tuple[str, dict[str, Any]]] = {
    "dropout": (
        "dropout 0.1",
        under(IMAGE, prompt_dropout=0.1) | under(DECODER, dropout=0.1),
    ),
    "published_start": ("start as published", under(HEAD, aligned_start=None)),
    "no_negatives": ("ignored pixels left out", under(f"{HEAD}.loss", ignored_as_negative=False)),
    "prompt_depth": ("prompts before 3 of 6 blocks", under(IMAGE, prompt_depth=3)),
    "layers": ("2 decoder layers", under(DECODER, num_layers=2)),
}
# Of a method: its loss, where visual features are taken, what LCSA sees, what the masks are.
REMEDIES: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "zegclip": {},
    "tagclip": {
        "trusty_dice": ("dice loss of the trusty map", under(HEAD, trusty_loss="dice")),
        "half_loss": (
            "half the weight of focal losses",
            under(HEAD, trusty_loss_weight=5.0) | under(f"{HEAD}.loss", focal_weight=10.0),
        ),
        "focal_100": ("focal loss as ZegCLIP's", under(f"{HEAD}.loss", focal_weight=100.0)),
        # By the search as good as the one that it takes.
        "lr_0.004": ("learning rate 0.004", {"optim_wrapper.optimizer.lr": 0.004}),
    },
    "ldvc": {
        "half_loss": ("half the focal loss", under(f"{HEAD}.loss", focal_weight=50.0)),
        "features": ("patches of block 4 of 6", under(IMAGE, patch_level=4)),
        "cross_first": (
            "LCSA after cross attention",
            under(DECODER, order=["cross_attention", "local_consensus", "feed_forward"]),
        ),
        "cosine": ("masks by cosine", under(DECODER, masks="cosine")),
        "differentiable": ("differentiable routes", under(DECODER, routing="differentiable")),
        "text_depth": ("prompts in one text layer", under(TEXT, prompt_depth=1)),
    },
}


def _rows() -> dict[str, Row]:
    rows = {
        "training_free": Row("CLIP without training", "training_free", "main", setting=""),
        **{key: Row(title, key, "main", analysed=True) for key, title in TITLES.items()},
    }
    for method in TITLES:
        rows[f"{method}_long"] = replace(
            rows[method], title=f"{TITLES[method]}, long", group="long"
        )
    for word, title in SETTINGS.items():
        for method, name in TITLES.items():
            rows[f"{method}_{word}"] = Row(f"{name}, {title}", method, "settings", setting=word)
    for group, method, variants in (
        ("ablations", "tagclip", TRUSTY),
        ("ablations", "ldvc", CONSENSUS),
        *(("remedies", method, RECIPE | own) for method, own in REMEDIES.items()),
    ):
        for key, (title, options) in variants.items():
            rows[f"{method}_{key}"] = Row(
                f"{TITLES[method]}, {title}",
                method,
                group,
                options,
                retest=key.startswith("weighting"),
                analysed=key == "without_lcsa",
                leaks=key == "unseen_gt",
            )
    return rows


ROWS = _rows()


def baselines(name: str) -> dict[str, str]:
    """The rows that a row is held against, by what they are to it."""
    row = ROWS[name]
    if row.group == "main":
        others = {"ZegCLIP": "zegclip"}
    elif row.group == "long":
        others = {"ZegCLIP": "zegclip_long"}
    elif row.group == "settings":
        others = {"inductive": row.method, "ZegCLIP": f"zegclip_{row.setting}"}
    else:
        # What is changed of the recipe is changed in the baseline, too.
        likewise = name.replace(row.method, "zegclip", 1)
        others = {
            "its method": row.method,
            "ZegCLIP": likewise if likewise in ROWS else "zegclip",
        }
    return {heading: other for heading, other in others.items() if other != name}
