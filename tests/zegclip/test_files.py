"""Files: replaced whole, and checkpoints read as data."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from zegclip.clip.weight_files import read_weights
from zegclip.errors import InputError
from zegclip.files import (
    PROJECT_ROOT,
    SAFETENSORS_META,
    as_checkpoint,
    find_path,
    read_checkpoint,
    replacing,
    write_text,
)


def test_relative_paths_count_from_here_then_from_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_path("README.md") == PROJECT_ROOT / "README.md"
    assert find_path("nowhere/at/all") == PROJECT_ROOT / "nowhere/at/all"
    assert find_path(tmp_path / "x") == tmp_path / "x"
    (tmp_path / "README.md").touch()
    assert find_path("README.md") == Path("README.md")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "new" / "report.json"
    with replacing(file) as part:
        part.write_text("one")
        assert part.suffix == ".json" and not file.exists()
    with pytest.raises(RuntimeError), replacing(file) as part:
        part.write_text("half")
        raise RuntimeError
    assert file.read_text() == "one" and list(file.parent.iterdir()) == [file]
    long = file.parent / ("猫" * 83 + ".json")  # 254 bytes: as long as file systems allow
    with replacing(long) as part:
        part.write_text("long")
    assert long.read_text() == "long"


def test_text_is_utf8_whatever_the_machine_and_names_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "new" / "names.json"
    write_text(file, json.dumps(["猫", os.fsdecode(b"\xff")], ensure_ascii=False))
    assert file.read_bytes() == '["猫", "\\udcff"]'.encode()
    assert json.loads(file.read_text(encoding="utf-8")) == ["猫", "\udcff"]


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


def test_plain_data_passes(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "half": torch.ones(2, dtype=torch.bfloat16),
        "parameter": torch.nn.Parameter(torch.ones(1)),
        "state_dict": OrderedDict(weight=torch.arange(3.0)),
        "meta": {"iter": 7, "name": "ü", "shape": torch.Size([2]), "bytes": b"x", "set": {1, 2}},
        "where": torch.device("cpu"),
        "kind": torch.float16,
    }
    torch.save(content, tmp_path / "plain.pth")
    loaded = read_checkpoint(tmp_path / "plain.pth")
    assert loaded["meta"] == content["meta"] and loaded["kind"] is torch.float16
    assert loaded["half"].equal(content["half"])
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / "old.pth")["state_dict"]["weight"].tolist() == [0, 1, 2]


def test_a_command_is_refused_and_not_run(tmp_path: Path) -> None:
    file, trace = tmp_path / "evil.pth", tmp_path / "was_here"
    torch.save({"state_dict": {}, "x": Command(f"touch {trace}")}, file)
    with pytest.raises(InputError, match=r"evil\.pth is refused.*any code"):
        read_checkpoint(file)
    file.write_bytes(pickle.dumps({"x": Command(f"touch {trace}")}, protocol=2))  # no archive
    with pytest.raises(InputError, match=r"evil\.pth is refused.*any code"):
        read_checkpoint(file)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((PROJECT_ROOT / "data/mini/mini_model.pth").read_bytes()[:5000], "cut short"),
        (b"\n<!DOCTYPE html><html>sign in" + bytes(9000), "a web page"),
        (b"", "cut short"),
    ],
    ids=["cut", "html", "empty"],
)
def test_what_downloads_leave(tmp_path: Path, content: bytes, message: str) -> None:
    for name, read in (("model.pth", read_checkpoint), ("clip.pt", read_weights)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name} cannot be read.*{message}"):
            read(tmp_path / name)


def test_a_tensor_larger_than_its_file_is_not_unfolded(tmp_path: Path) -> None:
    """A crafted one: 10^15 weights that are one number in the file."""
    file = tmp_path / "x.pth"
    torch.save({"state_dict": {"x": torch.zeros(1).expand(10**15)}}, file)
    as_checkpoint(read_checkpoint(file), "x.pth")


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "cut.pth"
    torch.save({"weight": torch.zeros(1000)}, file)
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(InputError, match=r"cut\.pth cannot be read"):
        read_checkpoint(file)
    with pytest.raises(InputError, match=r"not found: .*none\.pth"):
        read_checkpoint(tmp_path / "none.pth")


def test_safetensors_are_a_state_dict_or_a_checkpoint(tmp_path: Path) -> None:
    state = {"x": torch.ones(2)}
    save_file(state, tmp_path / "x.safetensors")
    assert set(read_checkpoint(tmp_path / "x.safetensors")) == {"x"}
    for text, found in (('{"iter": 3}', {"iter": 3}), ("[" * 10**5, None), ("3", None)):
        save_file(state, tmp_path / "x.safetensors", {SAFETENSORS_META: text})
        if found is None:
            with pytest.raises(InputError):
                as_checkpoint(read_checkpoint(tmp_path / "x.safetensors"), "x.safetensors")
        else:
            assert read_checkpoint(tmp_path / "x.safetensors")["meta"] == found
