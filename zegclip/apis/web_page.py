"""A web page around an inferencer: a picture and words in, an overlay to explore out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio
import numpy as np
from PIL import Image

from zegclip.datasets import read_image
from zegclip.errors import InputError
from zegclip.visualization import draw_heat_map, scaled
from zegclip.visualization.sheet import hex_colour
from zegclip.vocabulary import IGNORE_INDEX

from .inferencer import EncodedImage, ZeroShotInferencer
from .result import SegmentationResult

INTRODUCTION = """# Segment a picture by your own words
Upload a picture, type what to look for, run. Then click into the uploaded picture for every \
class's score there, and choose a class to see what it attends to. Other words for the same \
picture are answered faster: it is encoded once."""
DEFAULT_WORDS = "cat, dog, person, car, bird"
LONGEST_SIDE = 1280  # pixels; larger pictures are made smaller
MOST_CLASSES = 60  # of a request


class Session(NamedTuple):
    """What is kept of a visitor's last picture."""

    file: str  # as it was uploaded
    size: tuple[int, int]  # of the picture in it, width and height
    encoded: EncodedImage
    result: SegmentationResult


def build_page(
    inferencer: ZeroShotInferencer, examples: Sequence[tuple[str, str]] = ()
) -> gradio.Blocks:
    """Put the page together; ``launch()`` of the result serves it.

    Args:
        inferencer: answers; one request at a time, others wait in a queue.
        examples: pictures (paths) with words.
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
            _asker(inferencer),
            [picture, words, seen, session],
            [session, overlay, chosen, pixel],
            api_visibility="private",
        ).success(show, [session, chosen], maps, api_visibility="private")
        chosen.input(show, [session, chosen], maps, api_visibility="private")
        picture.select(_scores_at, session, pixel, api_visibility="private")
    page.queue(max_size=32, default_concurrency_limit=1)
    return page


def _asker(inferencer: ZeroShotInferencer) -> Callable[..., Any]:
    """What the button does: segment, or say in one message why not."""

    def ask(file: str | None, words: str, seen: str, session: Session | None) -> tuple[Any, ...]:
        try:
            if not file:
                raise InputError("there is no picture yet: upload one, or choose an example")
            vocabulary = inferencer.vocabulary(words, seen)
            if len(vocabulary.classes) > MOST_CLASSES:
                raise InputError(f"more than {MOST_CLASSES} classes at once: use fewer")
            if session is not None and session.file == file:
                size, encoded = session.size, session.encoded
            else:
                image = Image.fromarray(read_image(file))
                size = image.size
                image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
                encoded = inferencer.encode(image)
            result = inferencer(encoded, vocabulary)
        except InputError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        present = result.largest()
        names = {label: result.label_of(label) for label in present}
        masks = [(0.5 * (result.labels == label), name) for label, name in names.items()]
        if result.background:  # its share is said, and no pixel coloured
            masks.append((np.zeros(result.labels.shape), result.label_of(IGNORE_INDEX)))
        colours = {name: hex_colour(result.palette[i]) for i, name in names.items()}
        overlay = gradio.AnnotatedImage((result.image, masks), color_map=colours)
        first = result.classes[present[0] if present else 0]
        chosen = gradio.Dropdown(list(result.classes), value=first)
        return Session(file, size, encoded, result), overlay, chosen, None

    return ask


def _attention(inferencer: ZeroShotInferencer) -> Callable[..., Any]:
    """What a chosen class shows: its attention, beside the method's own maps."""

    def show(session: Session | None, name: str) -> list[tuple[np.ndarray, str]]:
        if session is None:
            return []
        result = session.result
        attention = inferencer.attention(session.encoded, result.classes, name)
        maps = {name: scaled(attention), **result.extra_maps}
        return [(draw_heat_map(result.image, heat), name) for name, heat in maps.items()]

    return show


def _scores_at(session: Session | None, event: gradio.SelectData) -> dict[str, float] | None:
    """Every class's score at the clicked pixel."""
    if session is None:
        return None
    height, width = session.result.labels.shape
    x = min(event.index[0] * width // session.size[0], width - 1)
    y = min(event.index[1] * height // session.size[1], height - 1)
    return session.result.scores_at(x, y)
