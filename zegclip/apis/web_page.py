"""A web page around an inferencer: a picture and words in, an overlay to explore out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio
import numpy as np
from PIL import Image

from zegclip.errors import InputError
from zegclip.visualization import draw_heat_map

from .images import read_image
from .inferencer import EncodedImage, ZeroShotInferencer
from .words import make_vocabulary

INTRODUCTION = """# Segment a picture by your own words
Upload a picture, type what to look for, run. Then click into the picture for every class's score \
there, and choose a class to see what it attends to. Other words for the same picture are answered \
faster: it is encoded once."""
DEFAULT_WORDS = "cat, dog, person, car, bird"
LONGEST_SIDE = 1280  # pixels; larger pictures are made smaller
# Every n-th pixel's scores are kept for clicks: all of them are gigabytes.
_EVERY = 4


@dataclass
class Session:
    """What is kept of a visitor's last picture.

    Attributes:
        file: the uploaded file.
        size: width and height of the picture in it.
        encoded: the picture after the image encoder.
        classes: the words of the last request.
        scores: ``(C, h, w)`` float16, every fourth pixel's.
        maps: the method's own maps over the picture, with their names.
    """

    file: str
    size: tuple[int, int]
    encoded: EncodedImage
    classes: tuple[str, ...]
    scores: np.ndarray
    maps: list[tuple[np.ndarray, str]]


def build_page(
    inferencer: ZeroShotInferencer,
    examples: Sequence[tuple[str, str]] = (),
    max_classes: int = 60,
) -> gradio.Blocks:
    """Put the page together; ``launch()`` of the result serves it.

    Args:
        inferencer: answers; one request at a time, others wait in a queue.
        examples: pictures (paths) with words.
        max_classes: words of a request.
    """
    # Uploaded files are looked for every ten minutes, and removed an hour after they came.
    with gradio.Blocks(
        title="Zero-shot segmentation", analytics_enabled=False, delete_cache=(600, 3600)
    ) as page:
        gradio.Markdown(INTRODUCTION)
        # Forgotten an hour after the last request, so that pictures do not pile up.
        session = gradio.State(None, time_to_live=3600)
        with gradio.Row():
            with gradio.Column():
                picture = gradio.Image(
                    label="picture (click for scores)",
                    sources=["upload", "clipboard"],
                    type="filepath",
                    image_mode=None,  # the file as it is: read_image() reads it
                    elem_id="picture",
                )
                words = gradio.Textbox(
                    DEFAULT_WORDS, label="classes, with commas between them", elem_id="words"
                )
                seen = gradio.Textbox(
                    label="of them, those that training has seen (optional: they are calibrated)"
                )
                button = gradio.Button("Segment", variant="primary", elem_id="run")
                pixel = gradio.Label(label="scores at the clicked place", elem_id="pixel")
                if examples:
                    gradio.Examples([list(each) for each in examples], [picture, words])
            with gradio.Column():
                overlay = gradio.AnnotatedImage(label="result", elem_id="overlay")
                meaning = inferencer.model.decode_head.attention_meaning
                chosen = gradio.Dropdown([], label="attention of the class", info=meaning)
                maps = gradio.Gallery(label="maps", columns=2, elem_id="maps")
        show = _attention(inferencer)
        gradio.on(
            [button.click, words.submit],
            _asker(inferencer, max_classes),
            [picture, words, seen, session],
            [session, overlay, chosen, pixel],
            api_visibility="private",
        ).success(show, [session, chosen], maps, api_visibility="private")
        chosen.input(show, [session, chosen], maps, api_visibility="private")
        picture.select(_scores_at, session, pixel, api_visibility="private")
    page.queue(max_size=32, default_concurrency_limit=1)
    return page


def _asker(inferencer: ZeroShotInferencer, max_classes: int) -> Callable[..., Any]:
    """What the button does: segment, or say in one message why not."""

    def ask(file: str | None, words: str, seen: str, session: Session | None) -> tuple[Any, ...]:
        try:
            if not file:
                raise InputError("there is no picture yet: upload one, or choose an example")
            vocabulary = make_vocabulary(words, seen or None)
            if len(vocabulary.classes) > max_classes:
                raise InputError(f"more than {max_classes} classes at once: use fewer")
            if session is not None and session.file == file:
                size, encoded = session.size, session.encoded
            else:
                image = Image.fromarray(read_image(file))
                size = image.size
                image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
                encoded = inferencer.encode(image)
            result = inferencer(encoded, words, seen or None)
        except InputError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        maps = [
            (draw_heat_map(result.image, heat), name) for name, heat in result.extra_maps.items()
        ]
        scores = result.scores[:, ::_EVERY, ::_EVERY].astype(np.float16)
        session = Session(file, size, encoded, result.classes, scores, maps)
        present = result.largest()
        names = [result.label_of(label) for label in present]
        colours = ["#{:02x}{:02x}{:02x}".format(*result.palette[label]) for label in present]
        masks = [(0.5 * (result.labels == label), name) for label, name in zip(present, names)]
        overlay = gradio.AnnotatedImage((result.image, masks), color_map=dict(zip(names, colours)))
        chosen = gradio.Dropdown(list(result.classes), value=result.classes[present[0]])
        return session, overlay, chosen, None

    return ask


def _attention(inferencer: ZeroShotInferencer) -> Callable[..., Any]:
    """What a chosen class shows: its attention, beside the method's own maps."""

    def show(session: Session | None, name: str) -> list[tuple[np.ndarray, str]]:
        if session is None:
            return []
        attention = inferencer.attention(session.encoded, session.classes, name)
        scaled = (attention - attention.min()) / max(np.ptp(attention), 1e-12)
        return [(draw_heat_map(session.encoded.image, scaled), name), *session.maps]

    return show


def _scores_at(session: Session | None, event: gradio.SelectData) -> dict[str, float] | None:
    """Every class's score at the clicked pixel."""
    if session is None:
        return None
    height, width = session.scores.shape[1:]
    column = min(event.index[0] * width // session.size[0], width - 1)
    row = min(event.index[1] * height // session.size[1], height - 1)
    values = session.scores[:, row, column].astype(float)
    return dict(zip(session.classes, values.tolist()))
