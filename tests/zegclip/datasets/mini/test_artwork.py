"""The drawings: licences, size, classes, and what is held out."""

from __future__ import annotations

import pytest

from zegclip.datasets.mini.artwork import ARTWORK, class_words, load_drawings

VOC = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()


def test_licences_and_attributions_lie_beside_the_drawings():
    text = (ARTWORK / "LICENSES.md").read_text()
    for style, licence in (
        ("noto", "Apache License"),
        ("twemoji", "CC-BY 4.0"),
        ("fluent", "MIT License"),
    ):
        assert f"{style}.webp" in text
        assert licence in (ARTWORK / f"LICENSE-{style}.txt").read_text()


def test_artwork_is_small():
    assert sum(path.stat().st_size for path in ARTWORK.iterdir()) < 5_000_000


def test_classes_are_vocs_in_vocs_order():
    names = dict.fromkeys(d.name for d in load_drawings() if d.is_class)
    assert list(names) == VOC
    assert set(class_words()) == set(VOC)


@pytest.mark.parametrize("name", VOC)
def test_every_class_has_drawings_for_both_splits(name):
    drawings = [d for d in load_drawings() if d.name == name]
    assert sum(d.held_out for d in drawings) >= 1
    assert sum(not d.held_out for d in drawings) >= 2
    assert len({(d.style, d.code) for d in drawings}) == len(drawings)


def test_several_hundred_further_names_none_of_them_a_class():
    others = {d.name for d in load_drawings() if not d.is_class}
    words = {word for d in load_drawings() if d.is_class for word in d.words}
    assert len(others) > 300
    assert not others & words


def test_drawings_are_cropped_to_their_outline():
    for drawing in load_drawings():
        opaque = drawing.pixels[..., 3] > 16
        for edge in (opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]):
            assert edge.any(), f"{drawing.style} {drawing.code}"


def test_missing_artwork_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tools/mini_benchmark/fetch_artwork\.py"):
        load_drawings(tmp_path)
