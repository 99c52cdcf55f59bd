"""tools/convert_checkpoint.py on the reference archives, saved in the published layout."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent / "reference"))

from files import (  # noqa: E402
    arrays_of,
    published_state,
    write_clip,
    write_config,
    write_published,
)

METHODS = ("zegclip", "tagclip")


def run(monkeypatch: pytest.MonkeyPatch, script: str, *args: object) -> None:
    """Run a script in this process."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    try:
        runpy.run_path(str(ROOT / "tools" / script), run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise


def converted(folder: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published file, converted to ``ours.pth`` (and ``ours.py``)."""
    config = write_config(folder, method)
    write_published(folder / "official.pth", arrays_of(method))
    run(
        monkeypatch, "convert_checkpoint.py", folder / "official.pth",
        "--method", method, "--config", config, "--out", folder / "ours.pth",
    )  # fmt: skip
    return folder / "ours.pth"


@pytest.mark.parametrize("method", METHODS)
def test_the_published_numbers_through_tools_test(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = converted(tmp_path, method, monkeypatch)
    said = capsys.readouterr().out
    assert "class_embedding_twice=True" in said
    if method == "zegclip":
        assert "decode_head.decoder_1.layers.*.self_attn.in_proj_weight (3)" in said
    else:
        assert "decode_head.decoder.layers.*.norm1.weight (2)" in said
        assert "trusty_target='unseen_gt'" in said

    arrays = arrays_of(method)
    published = "weight_both.inductive" if method == "tagclip" else "inductive"
    theirs = arrays[f"out.eval.{published}"]
    monkeypatch.chdir(tmp_path)
    run(
        monkeypatch, "test.py", checkpoint.with_suffix(".py"), checkpoint,
        "--work-dir", tmp_path / "w", "--out", tmp_path / "maps",
    )  # fmt: skip
    for index, probabilities in enumerate(theirs):
        ours = np.load(tmp_path / "probabilities" / f"{index}.npy")
        np.testing.assert_allclose(ours, probabilities, rtol=0, atol=1e-5)
        labels = np.asarray(Image.open(tmp_path / "maps" / f"{index}.png"))
        top = np.sort(probabilities, axis=0)
        clear = top[-1] - top[-2] > 2e-5
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(labels[clear], probabilities.argmax(0)[clear])
    report = json.loads((tmp_path / "w" / "report.json").read_text())
    assert report["protocol"]["unseen"] == ["class 3", "class 5"]

    options = ["test_dataloader.dataset.setting=transductive", "custom_hooks.2.out_dir=t"]
    run(
        monkeypatch, "test.py", checkpoint.with_suffix(".py"), checkpoint,
        "--work-dir", tmp_path / "w", "--cfg-options", *options,
    )  # fmt: skip
    name = "weight_none.transductive" if method == "tagclip" else "transductive"
    np.testing.assert_allclose(np.load("t/1.npy"), arrays[f"out.eval.{name}"][1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_there_and_back(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = converted(tmp_path, method, monkeypatch)
    run(
        monkeypatch, "convert_checkpoint.py", ours, "--reverse",
        "--method", method, "--config", ours.with_suffix(".py"), "--out", tmp_path / "back.pth",
    )  # fmt: skip
    back = torch.load(tmp_path / "back.pth", weights_only=True)["state_dict"]
    theirs = published_state(arrays_of(method))
    assert set(back) == set(theirs)
    unused = {name for name in back if not torch.equal(back[name], theirs[name])}
    assert all(".self_attn." in name or ".norm1." in name for name in unused)
    used_attention = "decode_head.decoder.layers.0.self_attn.in_proj_weight"
    assert used_attention not in unused
    for name in unused:
        assert back[name].shape == theirs[name].shape


def test_a_model_without_the_quirk_keeps_its_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its class embedding is halved, and found out to be when it is converted again."""
    checkpoint = converted(tmp_path, "zegclip", monkeypatch)
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    del state["clip_fingerprint"]  # it says which function it was trained with
    torch.save({"state_dict": state}, tmp_path / "plain.pth")
    config = tmp_path / "zegclip_reference.py"
    run(
        monkeypatch, "convert_checkpoint.py", tmp_path / "plain.pth", "--reverse",
        "--method", "zegclip", "--config", config, "--out", tmp_path / "theirs.pth",
    )  # fmt: skip
    theirs = torch.load(tmp_path / "theirs.pth", weights_only=True)["state_dict"]
    clip = torch.from_numpy(arrays_of("zegclip")["state.visual.class_embedding"])
    assert torch.equal(theirs["backbone.class_embedding"] * 2, clip)

    capsys.readouterr()
    run(
        monkeypatch, "convert_checkpoint.py", tmp_path / "theirs.pth",
        "--method", "zegclip", "--config", config, "--out", tmp_path / "again.pth",
    )  # fmt: skip
    assert "class_embedding_twice=False" in capsys.readouterr().out
    again = torch.load(tmp_path / "again.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(again[name], state[name]) for name in state)


class TestRefusals:
    def test_a_trusty_map_of_the_paper_has_no_place_in_the_published_code(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours = converted(tmp_path, "tagclip", monkeypatch)
        seen = tmp_path / "seen.py"
        seen.write_text(
            "_base_ = './ours.py'\nmodel = dict(decode_head=dict(trusty_target='seen'))\n"
        )
        options = ["--method", "tagclip", "--config", seen, "--out", tmp_path / "back.pth"]
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match="set model.decode_head.trusty_target='unseen_gt'"):
            run(monkeypatch, "test.py", seen, ours)
        state = torch.load(ours, weights_only=True)["state_dict"]
        del state["clip_fingerprint"]
        torch.save(state, "plain.pth")
        with pytest.raises(SystemExit, match="reads its map the other way round"):
            run(monkeypatch, "convert_checkpoint.py", "plain.pth", "--reverse", *options)

    def test_the_config_without_the_quirk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checkpoint = converted(tmp_path, "zegclip", monkeypatch)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match="set model.image_encoder.class_embedding_twice=True"):
            run(monkeypatch, "test.py", "zegclip_reference.py", checkpoint)

    def test_another_method(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = write_config(tmp_path, "tagclip")
        write_published(tmp_path / "official.pth", arrays_of("zegclip"))
        with pytest.raises(SystemExit, match="no tagclip checkpoint.*lacks decode_head"):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "official.pth",
                "--method", "tagclip", "--config", config, "--out", tmp_path / "o.pth",
            )  # fmt: skip
        assert not (tmp_path / "o.pth").exists()

    def test_another_number_of_prompts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = write_config(tmp_path, "zegclip")
        config.write_text(config.read_text().replace("num_prompts=3", "num_prompts=5"))
        write_published(tmp_path / "official.pth", arrays_of("zegclip"))
        with pytest.raises(SystemExit, match=r"prompt_embeddings is \(3, 3, 64\).*\(3, 5, 64\)"):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "official.pth",
                "--method", "zegclip", "--config", config, "--out", tmp_path / "o.pth",
            )  # fmt: skip

    def test_a_file_that_says_nothing_of_its_clip(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config, state = write_config(tmp_path, "zegclip"), published_state(arrays_of("zegclip"))
        learned = {k: v for k, v in state.items() if k.startswith("decode_head") or "prompt" in k}
        torch.save({"state_dict": learned}, tmp_path / "learned.pth")
        with pytest.raises(
            SystemExit, match=r"lacks backbone\.class_embedding.*complete checkpoint"
        ):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "learned.pth",
                "--method", "zegclip", "--config", config, "--out", tmp_path / "o.pth",
            )  # fmt: skip

    def test_an_unconverted_file_is_not_tested(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """mmengine would load nothing of it, and report random numbers."""
        config = write_config(tmp_path, "zegclip")
        text = config.read_text().replace("train_dataloader = val", "val")
        text = text.replace("train_cfg = val_cfg = optim_wrapper = param_scheduler", "val_cfg")
        config.write_text(text)  # one that could train, too
        state = published_state(arrays_of("zegclip"))
        torch.save({"state_dict": state}, tmp_path / "official.pth")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match=r"another model.*tools/convert_checkpoint\.py"):
            run(monkeypatch, "test.py", config, tmp_path / "official.pth")
        assert not list(tmp_path.glob("work_dirs/*/report.json"))

    def test_a_transposed_matrix(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config, arrays = write_config(tmp_path, "zegclip"), arrays_of("zegclip")
        arrays["state.head.q_proj.weight"] = arrays["state.head.q_proj.weight"].T.copy()
        write_published(tmp_path / "official.pth", arrays)
        with pytest.raises(SystemExit, match=r"q_proj\.weight is \(64, 32\)"):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "official.pth",
                "--method", "zegclip", "--config", config, "--out", tmp_path / "o.pth",
            )  # fmt: skip

    def test_other_clip_weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config, arrays = write_config(tmp_path, "zegclip"), arrays_of("zegclip")
        write_published(tmp_path / "official.pth", arrays)
        write_clip(tmp_path, arrays | {"state.visual.proj": arrays["state.visual.proj"] * 1.1})
        with pytest.raises(SystemExit, match="backbone.proj is not that of the config's CLIP"):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "official.pth",
                "--method", "zegclip", "--config", config, "--out", tmp_path / "o.pth",
            )  # fmt: skip

    def test_code_in_the_file_is_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch.save({"state_dict": {}, "meta": os.getcwd}, tmp_path / "evil.pth")
        with pytest.raises(SystemExit, match=r"evil\.pth is refused.*getcwd.*could run code"):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "evil.pth",
                "--method", "zegclip", "--out", tmp_path / "o.pth",
            )  # fmt: skip

    @pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"hello\n"])
    def test_unreadable(
        self, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(SystemExit, match=r"bad\.pth is (no readable checkpoint|refused)"):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "bad.pth",
                "--method", "zegclip", "--out", tmp_path / "o.pth",
            )  # fmt: skip

    def test_existing_files_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ours = converted(tmp_path, "zegclip", monkeypatch)
        with pytest.raises(SystemExit):
            run(
                monkeypatch, "convert_checkpoint.py", tmp_path / "official.pth",
                "--method", "zegclip", "--out", ours,
            )  # fmt: skip
        assert "say --force to overwrite" in capsys.readouterr().err
