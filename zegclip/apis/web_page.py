"""A web page around a segmenter: a picture and words in, an overlay to explore out."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio
import numpy as np
import torch
from PIL import Image

from zegclip.errors import InputError
from zegclip.visualization import draw_heat_map

from .images import FORMATS, read_image
from .result import SegmentationResult
from .words import make_vocabulary
from .zero_shot_segmenter import EncodedImage, ZeroShotSegmenter

INTRODUCTION = """# Segment a picture by your own words
Upload a picture, type what to look for, run. Then click into the result for every class's score \
there, and choose a class to see where the model looks for it. Other words for the same picture \
are answered faster: it is encoded once."""
DEFAULT_WORDS = "cat, dog, person, car, bird"
# Every n-th pixel's scores are kept for clicks and maps: all of them are gigabytes.
_EVERY = 4


@dataclass(frozen=True)
class Limits:
    """What one request may take.

    Attributes:
        megabytes: of an uploaded file.
        megapixels: of a picture; a small file may hold a huge one.
        longest_side: pixels; larger pictures are made smaller.
        classes: words.
        waiting: requests that may wait for their turn; more are sent away.
    """

    megabytes: int = 20
    megapixels: float = 40.0
    longest_side: int = 1280
    classes: int = 60
    waiting: int = 32


def _picture_input() -> gradio.Image:
    """gradio's image upload, which hands on the path of the uploaded file unread.

    gradio would read it first, and answer a broken file with a bare "Error". (Its components write
    a file beside the source of every subclass: hence the method of one instance.)
    """
    component = gradio.Image(
        label="picture", sources=["upload", "clipboard"], type="filepath", elem_id="picture"
    )
    component.preprocess = lambda payload: None if payload is None else payload.path  # type: ignore[method-assign]
    return component


@dataclass
class Session:
    """What is kept of a visitor's last picture.

    Attributes:
        file: the uploaded file.
        encoded: the picture after the image encoder.
        classes: the words of the last request.
        scores: ``(C, h, w)`` float16, every fourth pixel's.
        shown: width and height of the overlay; small pictures are shown enlarged.
    """

    file: str
    encoded: EncodedImage
    classes: tuple[str, ...]
    scores: np.ndarray
    shown: tuple[int, int]


def build_page(
    segmenter: ZeroShotSegmenter,
    examples: Sequence[tuple[str, str]] = (),
    limits: Limits | None = None,
) -> gradio.Blocks:
    """Put the page together; ``launch()`` of the result serves it.

    Args:
        segmenter: answers; one request at a time, others wait in a queue.
        examples: pictures (paths) with words.
        limits: of a request.
    """
    limits = limits or Limits()
    ask = _asker(segmenter, limits)
    # Uploaded files are looked for every ten minutes, and removed an hour after they came.
    with gradio.Blocks(
        title="Zero-shot segmentation", analytics_enabled=False, delete_cache=(600, 3600)
    ) as page:
        gradio.Markdown(INTRODUCTION)
        # Forgotten an hour after the last request, so that pictures do not pile up.
        session = gradio.State(None, time_to_live=3600)
        with gradio.Row():
            with gradio.Column():
                picture = _picture_input()
                words = gradio.Textbox(
                    DEFAULT_WORDS, label="classes, with commas between them", elem_id="words"
                )
                seen = gradio.Textbox(
                    "",
                    label="of them, those that training has seen (optional: they are calibrated)",
                    elem_id="seen",
                )
                run = gradio.Button("Segment", variant="primary", elem_id="run")
                if examples:
                    gradio.Examples(
                        [list(example) for example in examples],
                        [picture, words],
                        cache_examples=False,
                    )
            with gradio.Column():
                overlay = gradio.Image(
                    label="result (click for scores)", interactive=False, elem_id="overlay"
                )
                legend = gradio.HTML(elem_id="legend")
                pixel = gradio.Label(label="scores at the clicked place", elem_id="pixel")
        with gradio.Row():
            with gradio.Column():
                chosen = gradio.Dropdown(
                    [], label="attention of the class", interactive=True, elem_id="chosen"
                )
                attention = gradio.Image(
                    label="score of the class: the last layer's attention, as the mask takes it",
                    interactive=False,
                    height=360,
                    elem_id="attention",
                )
            trusty = gradio.Image(
                label="trusty map: where seen classes can be trusted (TagCLIP)",
                interactive=False,
                height=360,
                elem_id="trusty",
            )
        outputs = [session, overlay, legend, trusty, chosen, attention, pixel]
        for event in (run.click, words.submit):
            event(ask, [picture, words, seen, session], outputs, api_visibility="private")
        chosen.change(_attention, [session, chosen], attention, api_visibility="private")
        overlay.select(_scores_at, session, pixel, api_visibility="private")
    page.queue(max_size=limits.waiting, default_concurrency_limit=1)
    return page


def _asker(segmenter: ZeroShotSegmenter, limits: Limits) -> Callable[..., Any]:
    """What the button does: segment, or say in one message why not."""

    def ask(file: str | None, words: str, seen: str, session: Session | None) -> tuple[Any, ...]:
        try:
            if not file:
                raise InputError("there is no picture yet: upload one, or choose an example")
            vocabulary = make_vocabulary(words, seen or None)
            if len(vocabulary.classes) > limits.classes:
                raise InputError(
                    f"{len(vocabulary.classes)} classes are more than the {limits.classes} that "
                    "this page takes at once: use fewer"
                )
            if session is None or session.file != file:
                encoded = segmenter.encode(_picture(file, limits))
            else:
                encoded = session.encoded
            result = segmenter(encoded, words, seen or None)
        except (MemoryError, torch.OutOfMemoryError):
            text = "not enough memory: use a smaller picture or fewer classes"
            raise gradio.Error(text, title="Not segmented", print_exception=False) from None
        except InputError as error:
            # (The message is shown as HTML, and quotes what was typed.)
            text = html.escape(str(error))
            raise gradio.Error(text, title="Not segmented", print_exception=False) from None
        scores = result.scores[:, ::_EVERY, ::_EVERY].astype(np.float16)
        overlay = result.draw(legend=False)
        session = Session(file, encoded, result.classes, scores, overlay.size)
        largest = result.classes[int(np.bincount(result.labels.ravel()).argmax())]
        trusty_map = result.trusty_map
        return (
            session,
            overlay,
            _legend(result),
            None if trusty_map is None else _heat_map(result.image, trusty_map),
            gradio.Dropdown(choices=list(result.classes), value=largest),
            _attention(session, largest),
            None,
        )

    return ask


def _picture(file: str, limits: Limits) -> np.ndarray:
    """An uploaded picture within the limits, ``(H, W, 3)``.

    Raises:
        InputError: it is too large or no picture.
    """
    if not Path(file).is_file():
        raise InputError("the uploaded picture is no longer here: upload it again")
    if Path(file).stat().st_size > limits.megabytes * 1e6:
        raise InputError(f"the file has more than {limits.megabytes} MB: make it smaller first")
    try:
        with Image.open(file, formats=FORMATS) as image:
            pixels = image.width * image.height  # known before anything is unpacked
    except Exception:
        pixels = 0  # read_image() says what is wrong
    if pixels > limits.megapixels * 1e6:
        raise InputError(
            f"the picture has {pixels / 1e6:.0f} million pixels, more than the "
            f"{limits.megapixels:g} that this page takes: make it smaller first"
        )
    picture = Image.fromarray(read_image(file, "the uploaded file"))
    picture.thumbnail((limits.longest_side, limits.longest_side))
    return np.asarray(picture)


def _legend(result: SegmentationResult) -> str:
    """Colour, name and share of each class that is there, the largest first."""
    areas = result.areas()
    rows = sorted(zip(result.classes, result.palette, strict=True), key=lambda r: -areas[r[0]])
    items = [
        '<span style="display:inline-block;margin:2px 10px 2px 0">'
        f'<span style="display:inline-block;width:1em;height:1em;background:rgb{colour}"></span> '
        f"{html.escape(name)} {areas[name]:.1%}</span>"
        for name, colour in rows
        if areas[name] > 0
    ]
    return "".join(items)


def _attention(session: Session | None, name: str | None) -> Image.Image | None:
    """The mask probability of a class over the picture: the last layer's attention."""
    if session is None or name not in session.classes:
        return None
    image = session.encoded.image
    heat = session.scores[session.classes.index(name)].astype(np.float32)
    size = (image.shape[1], image.shape[0])
    larger = Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)
    return _heat_map(image, np.asarray(larger))


def _heat_map(image: np.ndarray, heat: np.ndarray) -> Image.Image:
    """Drawn over its picture; a small one is enlarged."""
    return draw_heat_map(image, heat, scale=max(1, 320 // min(image.shape[:2])))


def _scores_at(session: Session | None, event: gradio.SelectData) -> dict[str, float] | None:
    """Every class's score at the clicked pixel."""
    if session is None:
        return None
    x, y = event.index
    height, width = session.scores.shape[1:]
    column = min(x * width // session.shown[0], width - 1)
    row = min(y * height // session.shown[1], height - 1)
    values = session.scores[:, row, column].astype(float)
    return dict(zip(session.classes, values.tolist(), strict=True))
