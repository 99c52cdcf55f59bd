"""A web page around inferencers: a picture and words in, overlays to explore out."""

from __future__ import annotations

import contextlib
from abc import ABCMeta
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio
from gradio import route_utils
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from gradio.utils import is_in_or_equal, is_static_file
from gradio_client.utils import is_http_url_like

from zegclip.vocabulary import Background

from .inferencer import ZeroShotInferencer
from .web_answers import FILES, SET_HERE, WAYS, Answers, Session

INTRODUCTION = """# Segment a picture by your own words
Upload a picture, say what to look for, run. Point at a name below a result to see where it is, \
click into your picture for every word's score there. Other words for the same picture are \
answered faster: it is encoded once."""
NARROWEST = 240  # pixels of a column: three stand side by side, on a phone one
DEFAULT_WORDS = ["person", "cat", "dog", "car", "bird"]
_not_uploaded = partial(gradio.Error, "a picture must be uploaded here", print_exception=False)
_remove_old_files = route_utils.delete_files_created_by_app


def _go_on_removing(blocks: gradio.Blocks, age: int | None) -> None:
    """Gradio's removal of old uploads, which an upload at the same moment would end for good."""
    with contextlib.suppress(RuntimeError):  # the set of files changed: next time
        _remove_old_files(blocks, age)


route_utils.delete_files_created_by_app = _go_on_removing


class _WritesNoStub(ComponentMeta):
    """Gradio's metaclass, which writes a ``.pyi`` beside the source of each component, without."""

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        return ABCMeta.__new__(cls, name, bases, attrs)


class _UploadedImage(gradio.Image, metaclass=_WritesNoStub):
    """Takes a file that was uploaded, or an example, and nothing else that a request may hold.

    Gradio's downloads what an address names; decodes what stands in the request itself with every
    plugin of Pillow, of which one starts Ghostscript, into a file that it never removes; and reads
    any picture of the server that is named without "meta".
    """

    is_template = True  # in a browser it is its base class

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        if is_http_url_like(str(url_or_file_path)):
            raise _not_uploaded()
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def preprocess(self, payload: ImageData | None) -> Any:
        if payload is not None:
            file = payload.path or "/"
            known = is_in_or_equal(file, self.GRADIO_CACHE) or is_static_file(file)
            if not known or (payload.url or "").startswith("data:"):
                raise _not_uploaded()
        return super().preprocess(payload)


def build_page(
    inferencers: Sequence[ZeroShotInferencer], examples: Sequence[tuple[str, list[str]]] = ()
) -> gradio.Blocks:
    """Put the page together; ``launch()`` of the result serves it.

    Args:
        inferencers: answer side by side; one request at a time, others wait in a queue.
        examples: pictures (paths) with words, answered once before anybody asks. Anyone who
            reaches the page can read these files.
    """
    answers = Answers(inferencers, examples)
    # Never removed, as uploads are: those are looked for every ten minutes, and removed an hour
    # after they came.
    gradio.set_static_paths([file for file, _ in examples])
    with gradio.Blocks(
        title="Zero-shot segmentation", analytics_enabled=False, delete_cache=(600, 3600)
    ) as page:
        gradio.Markdown(INTRODUCTION)
        # Forgotten an hour after the last request, so that pictures do not pile up.
        session = gradio.State(None, time_to_live=3600)
        titles = list(map(_title, inferencers)) if len(inferencers) > 1 else ["result"]
        with gradio.Row():
            asked = _picture_column(inferencers, titles)
            shown = [_result_column(*each) for each in zip(titles, inferencers)]
        shows: list[dict[str, Any]] = [
            dict(
                fn=partial(answers.maps, index),
                inputs=[session, asked.picture, result.name],
                outputs=result.maps,
                api_visibility="private",
            )
            for index, result in enumerate(shown)
        ]
        for result, show in zip(shown, shows):
            result.name.input(**show)
        results = [each for r in shown for each in (r.overlay, *r.files, r.name)]

        def segment_at(event: Any) -> None:
            answered = event(
                answers.ask,
                [session, asked.picture, asked.words, *asked.options],
                [session, asked.words, *asked.scores, *results],
                # The words can be typed meanwhile.
                show_progress_on=[result.overlay for result in shown],
                api_visibility="private",
            )
            for show in shows:
                answered.success(**show)

        def scores_at(session: Session, file: str, event: gradio.SelectData) -> dict[Any, Any]:
            return dict(zip(asked.scores, answers.scores_at(session, file, *event.index)))

        segment_at(asked.button.click)
        asked.picture.select(
            scores_at, [session, asked.picture], asked.scores, api_visibility="private"
        )
        if examples:
            segment_at(_examples(examples, asked).success)
    page.queue(max_size=32, default_concurrency_limit=1)
    return page


def _title(inferencer: ZeroShotInferencer) -> str:
    """``zegclip_voc_inductive, iter_20000``"""
    files = (inferencer.config, inferencer.checkpoint)
    return ", ".join(Path(file).stem for file in files if file)


class _Asked(NamedTuple):
    """The column of the picture and what is asked of it."""

    picture: _UploadedImage
    scores: list[gradio.Label]  # at the pixel that was clicked, of each inferencer
    words: gradio.Dropdown
    button: gradio.Button
    options: list[Any]  # as Answers.ask() takes them


class _Shown(NamedTuple):
    """The column of an inferencer's result."""

    overlay: gradio.AnnotatedImage
    files: list[gradio.DownloadButton]
    name: gradio.Dropdown  # of the class whose attention is shown
    maps: gradio.Gallery


def _picture_column(inferencers: Sequence[ZeroShotInferencer], titles: Sequence[str]) -> _Asked:
    with gradio.Column(min_width=NARROWEST):
        picture = _UploadedImage(
            label="picture (click for scores)",
            sources=["upload", "clipboard"],
            type="filepath",
            image_mode=None,  # the file as it is: read_image() reads it
            elem_id="picture",
        )
        scores = [
            gradio.Label(
                label=f"{title}: scores", num_top_classes=10, visible=False, elem_classes="pixel"
            )
            for title in titles
        ]
        with gradio.Row():  # beside each other: chips that come do not move the button
            words = gradio.Dropdown(
                sorted({*DEFAULT_WORDS, *inferencers[0].classes}),
                value=DEFAULT_WORDS,
                multiselect=True,
                allow_custom_value=True,
                label="look for (any words)",
                scale=3,
                elem_id="words",
            )
            button = gradio.Button("Segment", variant="primary", min_width=96, elem_id="run")
        return _Asked(picture, scores, words, button, _options(inferencers))


def _result_column(title: str, inferencer: ZeroShotInferencer) -> _Shown:
    with gradio.Column(min_width=NARROWEST, elem_classes="result"):
        overlay = gradio.AnnotatedImage(label=title)
        with gradio.Row():
            files = [
                gradio.DownloadButton(file, size="sm", min_width=80, visible=False)
                for file in FILES
            ]
        meaning = inferencer.model.decode_head.attention_meaning
        name = gradio.Dropdown([], label="attention of", info=meaning, visible=False)
        maps = gradio.Gallery(
            label="maps", columns=2, height="fit-content", visible=False, elem_classes="maps"
        )
    return _Shown(overlay, files, name, maps)


def _examples(examples: Sequence[tuple[str, list[str]]], asked: _Asked) -> Any:
    """Thumbnails of the examples; returns the event of one that is put into the page."""
    thumbnails = gradio.Dataset(
        components=["image"],
        samples=[[file] for file, _ in examples],
        type="index",
        label="examples",
        elem_id="examples",
    )
    return thumbnails.click(
        examples.__getitem__, thumbnails, [asked.picture, asked.words], api_visibility="private"
    )


def _options(inferencers: Sequence[ZeroShotInferencer]) -> list[Any]:
    """What few visitors change, folded, as ``Answers.ask`` takes it."""
    own = inferencers[0].background or Background()
    with gradio.Accordion("Options", open=False, elem_id="options"):
        way = gradio.Radio(
            WAYS,
            value=WAYS[0],
            label="none of these",
            info="whether a pixel may be none of the words",
            elem_id="way",
        )
        with gradio.Group(visible=False) as set_here:
            threshold = gradio.Slider(
                0, 1, own.threshold or 0, label="below this probability", elem_id="threshold"
            )
            others = gradio.Textbox(
                ", ".join(own.words), label="or where one of these is more probable"
            )
        refine = gradio.Checkbox(
            any(inferencer.refine for inferencer in inferencers),
            label="masks follow the picture's edges (PAMR)",
            elem_id="refine",
        )
        seen = gradio.Textbox(label="which of the words training has seen (calibrates)")
        way.change(
            lambda chosen: gradio.Group(visible=chosen == SET_HERE),
            way,
            set_here,
            api_visibility="private",
        )
    return [way, threshold, others, refine, seen]
