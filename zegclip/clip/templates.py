"""Prompt templates, as data."""

from __future__ import annotations

from collections.abc import Sequence

from open_clip import OPENAI_IMAGENET_TEMPLATES

# ZegCLIP on VOC.
SINGLE = ("a photo of a {}",)
# ZegCLIP on COCO-Stuff and PASCAL Context.
MULTI15 = (
    "a photo of a {}.",
    "a photo of a small {}.",
    "a photo of a medium {}.",
    "a photo of a large {}.",
    "This is a photo of a {}.",
    "This is a photo of a small {}.",
    "This is a photo of a medium {}.",
    "This is a photo of a large {}.",
    "a {} in the scene.",
    "a photo of a {} in the scene.",
    "There is a {} in the scene.",
    "There is the {} in the scene.",
    "This is a {} in the scene.",
    "This is the {} in the scene.",
    "This is one {} in the scene.",
)
TEMPLATES: dict[str, tuple[str, ...]] = {
    "single": SINGLE,
    "multi15": MULTI15,
    "imagenet80": tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES),
}


def find_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """Templates by the name of a set, or as they are given.

    Args:
        templates: ``"single"``, ``"multi15"``, ``"imagenet80"``, or templates of one's own, each
            with one ``{}``.

    Raises:
        ValueError: unknown set, no template, or a template without exactly one ``{}``.
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f"templates={templates!r} is not one of {', '.join(TEMPLATES)}; a template of "
                "your own goes into a list, ['a drawing of a {}']"
            )
        return TEMPLATES[templates]
    templates = tuple(templates)
    if not templates:
        raise ValueError("templates is an empty list")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"template {template!r} must hold '{{}}' exactly once")
    return templates
