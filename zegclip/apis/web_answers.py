"""What the web page's buttons do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from zegclip.datasets import read_image
from zegclip.errors import InputError
from zegclip.visualization import draw_heat_map, scaled, single_maps
from zegclip.visualization.sheet import hex_colour
from zegclip.vocabulary import IGNORE_INDEX, Background, Vocabulary

from .base import EncodedImage
from .inferencer import ZeroShotInferencer
from .result import SegmentationResult
from .words import split_names

LONGEST_SIDE = 1280  # pixels; larger pictures are made smaller
MOST_CLASSES = 60  # of a request; as many words for all else, and seen ones
MOST_LETTERS = 4000  # of them all
# To download: the overlay as it is shown, the others of the size of the picture that was uploaded.
FILES = "mask.png", "overlay.jpg", "coco.json"
GREY = "#909090"  # what is none of the words
# Of telling what is none of the words.
WAYS = AS_USUAL, OFF, SET_HERE = "as usual", "off", "set here"


class Picture(NamedTuple):
    """A picture that every method has encoded."""

    file: str  # as it was uploaded
    size: tuple[int, int]  # of the picture in it, width and height
    encoded: list[EncodedImage]


class Session(NamedTuple):
    """What is kept of a visitor's last picture."""

    picture: Picture
    results: list[SegmentationResult]
    vocabularies: list[Vocabulary]  # of the results


class Answers:
    """Runs the inferencers and turns their results into updates of the page.

    Args:
        inferencers: one of each method.
        examples: pictures with words that are answered now, so that they are ready.
    """

    def __init__(
        self,
        inferencers: Sequence[ZeroShotInferencer],
        examples: Sequence[tuple[str, list[str]]] = (),
    ) -> None:
        self._inferencers = inferencers
        self._examples = {file: self._encode(file) for file, _ in examples}
        for file, words in examples:  # so that the words are embedded
            self._segment(None, file, words)
        for each in inferencers:  # visitors' words would fill the disk
            each.model.text_encoder.writes_cache = False

    def ask(self, session: Session | None, file: str | None, *asked: Any) -> list[Any]:
        """Segment, or say in one message why not.

        Args:
            session: of the visitor.
            file: the picture; ``None``: there is none.
            asked: the other arguments of :meth:`_segment`.

        Returns:
            Values of the page's components, in this order: the session and its words; for each
            method a hidden label (no pixel's scores are shown any more); for each method its
            overlay, the buttons of its files, and the names to choose from.

        Raises:
            gradio.Error: the picture or the words cannot be used.
        """
        try:
            if not file:
                raise InputError("there is no picture yet: upload one, or choose an example")
            session = self._segment(session, file, *asked)
        except InputError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        named = session.vocabularies[0]
        typed = ["|".join(w) if len(w) > 1 else n for n, w in zip(named.classes, named.words)]
        shown: list[Any] = [session, typed]
        shown += [gradio.Label(visible=False) for _ in session.results]
        for result in session.results:
            files = _write(result, Path(file).name, session.picture.size)
            buttons = [gradio.DownloadButton(value=each, visible=True) for each in files]
            shown += [_overlay(result), *buttons, _names(result)]
        return shown

    def maps(self, index: int, session: Session, file: str, name: str) -> gradio.Gallery:
        """A method's attention map of a class, and the method's extra maps."""
        _check_asked(session, file)
        encoded, result = session.picture.encoded[index], session.results[index]
        attention = self._inferencers[index].attention(encoded, session.vocabularies[index], name)
        maps = [(name, scaled(attention)), *single_maps(result.extra_maps).items()]
        heats = [(draw_heat_map(result.image, heat), title) for title, heat in maps]
        return gradio.Gallery(heats, visible=True)

    def scores_at(self, session: Session, file: str, column: int, row: int) -> list[gradio.Label]:
        """Every class's score at a pixel of the picture as it was uploaded, in each method."""
        _check_asked(session, file)
        height, width = session.results[0].labels.shape
        x = min(column * width // session.picture.size[0], width - 1)
        y = min(row * height // session.picture.size[1], height - 1)
        return [gradio.Label(each.scores_at(x, y), visible=True) for each in session.results]

    def _segment(
        self,
        session: Session | None,
        file: str,
        words: list[str],
        way: str = AS_USUAL,
        threshold: float = 0.0,
        others: str | None = "",
        refine: bool = False,
        seen: str | None = "",
    ) -> Session:
        text = ", ".join(words)
        # (Of a box that was never filled Gradio says None.)
        others, seen = (others or "") if way == SET_HERE else "", seen or ""
        _check_number(text, others, seen)
        vocabularies = [each.vocabulary(text, seen) for each in self._inferencers]
        background: bool | Background = way == AS_USUAL
        if way == SET_HERE:
            background = Background(threshold, split_names(others.replace("|", ",")))
        picture = self._examples.get(file)
        if picture is None and session and session.picture.file == file:
            picture = session.picture
        picture = picture or self._encode(file)
        asked = zip(self._inferencers, picture.encoded, vocabularies)
        results = [
            inferencer(encoded, vocabulary, background=background, refine=refine and "pamr")
            for inferencer, encoded, vocabulary in asked
        ]
        return Session(picture, results, vocabularies)

    def _encode(self, file: str) -> Picture:
        image = Image.fromarray(read_image(file))
        size = image.size
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        return Picture(file, size, [each.encode(image) for each in self._inferencers])


def _check_number(*texts: str) -> None:
    """Refuse too many or too long words before anything is done with them, which takes time."""
    if sum(map(len, texts)) > MOST_LETTERS:
        raise InputError(f"more than {MOST_LETTERS} letters at once: use fewer or shorter words")
    if any(len(split_names(text.replace("|", ","))) > MOST_CLASSES for text in texts):
        raise InputError(f"more than {MOST_CLASSES} classes at once: use fewer")


def _check_asked(session: Session | None, file: str | None) -> None:
    if session is None or session.picture.file != file:
        raise gradio.Error("segment this picture first", print_exception=False)


def _overlay(result: SegmentationResult) -> gradio.AnnotatedImage:
    colours = {label: hex_colour(result.palette[label]) for label in result.largest()}
    if result.background:
        colours[IGNORE_INDEX] = GREY
    masks = [(0.5 * (result.labels == label), result.label_of(label)) for label in colours]
    colour_map = {result.label_of(label): colour for label, colour in colours.items()}
    return gradio.AnnotatedImage((result.image, masks), color_map=colour_map)


def _names(result: SegmentationResult) -> gradio.Dropdown:
    """A list of the classes to choose from; the largest one is chosen."""
    (label,) = result.largest(1) or [0]
    return gradio.Dropdown(list(result.classes), value=result.classes[label], visible=True)


def _write(result: SegmentationResult, name: str, size: tuple[int, int]) -> list[str]:
    """``FILES``, in a folder of Gradio's, which removes them with the uploads.

    Args:
        result: of a picture that may have been made smaller.
        name: of the picture's file.
        size: of the picture in it, width and height.
    """
    os.makedirs(get_upload_folder(), exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=get_upload_folder()))
    mask, overlay, coco = (str(folder / f"{Path(name).stem}_{file}") for file in FILES)
    result.draw().save(overlay)
    # (8 bits hold all labels that a page has: a large picture's would take eight times as much.)
    labels = Image.fromarray(result.labels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    uploaded = replace(result, labels=np.asarray(labels))
    uploaded.save(mask, "index")
    uploaded.save(coco, "coco", name)
    return [mask, overlay, coco]
