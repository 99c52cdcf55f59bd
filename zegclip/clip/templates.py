"""Prompt templates, as data."""

from __future__ import annotations

from collections.abc import Sequence

from zegclip.compat import ImportedLater
from zegclip.errors import InputError

open_clip = ImportedLater("open_clip")
TEMPLATES: dict[str, tuple[str, ...]] = {
    # ZegCLIP on VOC.
    "single": ("a photo of a {}",),
    # ZegCLIP on COCO-Stuff and PASCAL Context.
    "multi15": (
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
    ),
}


def find_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """A set in ``TEMPLATES``, or ``"imagenet80"`` of open_clip; or a list of one's own, as it is.

    Raises:
        InputError: there is no such set, no template, or one without exactly one ``{}``.
    """
    if isinstance(templates, str):
        if templates == "imagenet80":  # CLIP's on ImageNet
            return tuple(each("{}") for each in open_clip.OPENAI_IMAGENET_TEMPLATES)
        if templates not in TEMPLATES:
            raise InputError(
                f"templates={templates!r} is not one of {', '.join(TEMPLATES)}, imagenet80; your "
                "own go into a list, ['a drawing of a {}']"
            )
        return TEMPLATES[templates]
    if not templates or any(template.count("{}") != 1 for template in templates):
        raise InputError(f"templates={[*templates]}: each must hold '{{}}' exactly once")
    return tuple(templates)
