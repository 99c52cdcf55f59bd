"""Names under pictures, and the text under a sheet."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFont

from zegclip.visualization import make_sheet
from zegclip.visualization.words import Word, class_words, text_picture, with_words

CLASSES, PALETTE = ("cat", "sofa", "dog"), ((200, 0, 0), (0, 200, 0), (0, 0, 200))


def test_names_are_those_of_the_map_by_size() -> None:
    labels = np.full((10, 100), 255)
    labels[:, :30], labels[:, 30:90], labels[0, 99] = 0, 1, 2  # a dog of one pixel
    words = class_words(labels, CLASSES, PALETTE, unseen=("sofa",))
    assert words == [Word("sofa", (214, 0, 0), (0, 200, 0)), Word("cat", (0, 0, 0), (200, 0, 0))]


def test_a_caption_is_under_the_picture_and_as_wide() -> None:
    picture = Image.new("RGB", (90, 40), "blue")
    words = [Word(f"name{index}", swatch=(255, 0, 255)) for index in range(5)]
    one, five = with_words(picture, words[:1]), with_words(picture, words)
    assert one.width == five.width == 90
    assert five.height > one.height > 40  # wrapped
    assert (np.asarray(five)[:40] == (0, 0, 255)).all()
    assert with_words(picture, []) is picture


def test_what_is_too_long_is_cut_with_an_ellipsis() -> None:
    picture = Image.new("RGB", (60, 10), "white")
    long = with_words(picture, [Word("playingfield-and-more")])
    assert (np.asarray(long)[10:] < 128).any()
    assert (np.asarray(long)[:, -1] == 255).all()  # nothing runs over the edge


def test_a_text_is_wrapped_to_the_width() -> None:
    text = "a note of several words " * 4
    narrow, wide = text_picture(text, 100), text_picture(text, 300)
    assert narrow.width == 100 and narrow.height > wide.height


def test_titles_do_not_run_into_each_other() -> None:
    small = Image.new("RGB", (10, 10), "red")
    titles = ["a title longer than its picture", "the next"]
    sheet = make_sheet([[small, small]], titles, note="what must be known")
    font = ImageFont.load_default(size=15)
    assert sheet.width >= sum(font.getlength(title) for title in titles)
    assert sheet.height > make_sheet([[small, small]], titles).height
