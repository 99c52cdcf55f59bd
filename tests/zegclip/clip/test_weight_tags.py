"""Weights by a tag: from data/clip, or downloaded, which is said; or how to get them by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import OpenaiClip
from zegclip.clip import check_clip, load_clip
from zegclip.errors import InputError

NAME = ("ViT-B-16-quickgelu", "openai")


@pytest.mark.parametrize(
    ("hub_is_down", "size", "where"), [(False, 351, "huggingface"), (True, 335, "~/.cache/clip")]
)
def test_a_download_says_what_how_large_and_where_to(
    hub_is_down: bool,
    size: int,
    where: str,
    openai_clip: OpenaiClip,
    capsys: pytest.CaptureFixture[str],
) -> None:
    openai_clip.hub_is_down = hub_is_down
    assert check_clip(*NAME) is None  # it will be there
    load_clip(*NAME)
    (line,) = capsys.readouterr().err.splitlines()
    said = f"downloading CLIP ViT-B-16-quickgelu, openai ({size} MB), once, to "
    assert line.startswith(said) and where in line
    assert openai_clip.downloads == 1
    # What several processes take from there is whole.
    kept = [file.name for file in Path("~/.cache/clip").expanduser().glob("*")]
    assert kept == (["downloaded.safetensors"] if hub_is_down else [])


@pytest.mark.parametrize("offline", [False, True])
def test_a_file_that_is_here_is_taken(
    offline: bool,
    openai_clip: OpenaiClip,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downloaded = load_clip(*NAME).fingerprint
    capsys.readouterr()
    openai_clip.reachable = False
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    kept = openai_clip.save(Path("kept.safetensors"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, name: str(kept))
    assert load_clip(*NAME).fingerprint == downloaded
    # The project's own folder comes first; any format may have that name.
    Path("data/clip").mkdir(parents=True)
    Path("data/clip/ViT-B-16.pt").write_bytes(b"nothing")
    assert check_clip(*NAME) is None
    with pytest.raises(InputError, match=r"data/clip/ViT-B-16\.pt cannot be read"):
        load_clip(*NAME)
    assert not capsys.readouterr().err


def test_without_a_network_both_ways_by_hand_are_named(openai_clip: OpenaiClip) -> None:
    openai_clip.reachable = False
    with pytest.raises(InputError) as error:
        load_clip(*NAME)
    for words in (
        "cannot be downloaded: no network",
        "ViT-B-16.pt and put it at data/clip/ViT-B-16.pt; or `hf download timm/",
    ):
        assert words in str(error.value)


def test_what_must_not_be_downloaded_is_said_before_work(
    openai_clip: OpenaiClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    problem = check_clip(*NAME)
    assert problem is not None and "HF_HUB_OFFLINE is set" in problem
    with pytest.raises(InputError, match="data/clip/ViT-B-16.pt"):
        load_clip(*NAME)
    assert not openai_clip.downloads
