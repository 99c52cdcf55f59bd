"""Models as folders and on a Hub: they come back as they were, and nothing in them is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import publish_model
import pytest
import torch
import yaml
from mmengine.config import Config
from safetensors.torch import load_file, save_file

from tests.zegclip.apis.hub_server import HubServer
from tests.zegclip.apis.models import METHODS, ROOT, SCENE, WORDS, files_of
from zegclip.apis import ZeroShotInferencer
from zegclip.engine.load_model import MINI_CHECKPOINT, checkpoint_meta
from zegclip.engine.vocabulary_hook import trained_on
from zegclip.errors import InputError
from zegclip.evaluation.report import write_report
from zegclip.evaluation.training import training_settings
from zegclip.losses import MaskLoss

NAME = "somebody/tagclip-mini"


@pytest.fixture(scope="module")
def inferencer() -> ZeroShotInferencer:
    return ZeroShotInferencer(*files_of("tagclip"), device="cpu")


@pytest.fixture
def folder(inferencer: ZeroShotInferencer, tmp_path: Path) -> Path:
    inferencer.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    server = HubServer()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.endpoint)
    address = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.close()


def assert_same(found: ZeroShotInferencer, expected: ZeroShotInferencer, *question: str) -> None:
    results = [each(SCENE, *question) for each in (found, expected)]
    assert np.array_equal(*(result.labels for result in results))
    np.testing.assert_allclose(*(result.scores for result in results), atol=1e-6)
    assert results[0].classes == results[1].classes and results[0].unseen == results[1].unseen
    assert results[0].background == results[1].background


@pytest.mark.parametrize("method", METHODS)
def test_a_folder_is_the_model(method: str, tmp_path: Path) -> None:
    config, checkpoint = files_of(method)
    cfg = Config.fromfile(config)
    cfg.model.test_cfg.refine = "pamr"
    expected = ZeroShotInferencer(cfg, checkpoint, device="cpu")
    expected.save_pretrained(tmp_path / "model")
    found = ZeroShotInferencer.from_pretrained(tmp_path / "model", device="cpu")
    assert found.model.protocol() == expected.model.protocol()
    assert_same(found, expected)
    assert_same(found, expected, WORDS)
    state = load_file(tmp_path / "model" / "model.safetensors")
    assert set(state) == set(expected.model.state_dict())  # nothing of CLIP's


def test_a_model_that_learned_nothing(tmp_path: Path) -> None:
    expected = ZeroShotInferencer("training_free_mini", device="cpu")
    expected.save_pretrained(tmp_path)
    assert "It has none of its own" in (tmp_path / "README.md").read_text()
    assert_same(ZeroShotInferencer.from_pretrained(tmp_path, device="cpu"), expected, WORDS)


def test_windows_and_resizing_come_along(tmp_path: Path) -> None:
    config, checkpoint = files_of("zegclip")
    cfg = Config.fromfile(config)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(48, 60), stride=(30, 42))
    step = dict(type="Resize", scale=(130, 110), keep_ratio=True)
    cfg.test_dataloader.dataset.pipeline.insert(1, step)
    cfg.model.text_encoder.cache_dir = str(tmp_path)
    expected = ZeroShotInferencer(cfg, checkpoint, device="cpu")
    expected.save_pretrained(tmp_path / "model")
    found = ZeroShotInferencer.from_pretrained(tmp_path / "model", device="cpu")
    assert found.encode(SCENE).input_size == (110, 110)
    assert_same(found, expected, WORDS)


def test_the_card_says_what_the_report_says(inferencer: ZeroShotInferencer, tmp_path: Path) -> None:
    vocabulary = inferencer.vocabulary()
    inferencer.model.set_vocabulary(vocabulary)
    protocol = inferencer.model.protocol() | {
        "dataset": "mini benchmark", "images": 300, "setting": "inductive",
        "unseen": list(vocabulary.unseen), "num_classes": 20, "ignore_rule": "void ignored",
        "config": "tagclip_mini_inductive", "checkpoint": "some/where/iter_1000.pth",
        "seed": 0, "iteration": 500, "code": "0.2.0",
    }  # fmt: skip
    scores = {"pAcc": 69.04, "mIoU_S": 54.6, "mIoU_U": 46.3, "hIoU": 50.1, "per_class": {}}
    write_report(tmp_path / "report.json", scores, protocol)
    inferencer.save_pretrained(tmp_path / "tag", tmp_path / "report.json", "apache-2.0")
    _, metadata, text = (tmp_path / "tag" / "README.md").read_text().split("---\n", 2)
    assert "| pAcc | mIoU(S) | mIoU(U) | hIoU |" in text and "| 69.0 | 54.6 | 46.3 | 50.1 |" in text
    assert "python tools/test.py configs/tagclip_mini_inductive.py iter_1000.pth" in text
    assert "inductive setting: pottedplant, sheep, sofa, train, tvmonitor" in text
    assert "5 of 20 classes unseen" in text and "some/where" not in text
    found = yaml.safe_load(metadata)
    assert found["license"] == "apache-2.0" and found["pipeline_tag"] == "image-segmentation"
    (result,) = found["model-index"][0]["results"]
    assert {each["type"]: each["value"] for each in result["metrics"]}["hIoU"] == 50.1
    published = json.loads((tmp_path / "tag" / "report.json").read_text())
    assert published["hIoU"] == 50.1 and published["protocol"]["checkpoint"] == "iter_1000.pth"

    inferencer.save_pretrained(tmp_path / "tag")  # the report was of what lay there before
    text = (tmp_path / "tag" / "README.md").read_text()
    assert "license: unknown" in text and "None were given" in text
    assert not (tmp_path / "tag" / "report.json").exists()

    checkpoint = torch.load(inferencer.checkpoint, weights_only=True)
    meta = checkpoint.get("meta", {}) | {"seed": 1, "training": "abc"}
    torch.save(checkpoint | {"meta": meta}, tmp_path / "another_seed.pth")
    another = ZeroShotInferencer(inferencer.config, tmp_path / "another_seed.pth", device="cpu")
    with pytest.raises(InputError, match=r"report\.json is of another model \(seed 0, not 1\)"):
        another.save_pretrained(tmp_path / "other", tmp_path / "report.json")

    protocol["other_settings"] = ["model.decode_head.gamma (0.1 -> 0)"]
    write_report(tmp_path / "report.json", scores, protocol)
    with pytest.raises(InputError, match=r"other settings than the training's \(model\.decode_h"):
        inferencer.save_pretrained(tmp_path / "other", tmp_path / "report.json")

    protocol["clip"] = {"model_name": "other", "fingerprint": "00"}
    write_report(tmp_path / "report.json", scores, protocol)
    with pytest.raises(InputError, match=r"report\.json is of a model with another CLIP"):
        inferencer.save_pretrained(tmp_path / "other", tmp_path / "report.json")
    with pytest.raises(InputError, match=r"none\.json is no report"):
        inferencer.save_pretrained(tmp_path / "other", tmp_path / "none.json")


def changed(content: dict[str, Any], place: str, value: Any) -> None:
    *outer, last = place.split(".")
    for key in outer:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("zegclip", 2, r"not written by save_pretrained\(\) \(version 1\)"),
        ("model.type", "subprocess.Popen", "model.type='subprocess.Popen' is no ZeroShotSegmentor"),
        ("model.type", "EncoderDecoder", "is no ZeroShotSegmentor"),
        ("model.decode_head.type", "mmseg.TrustyHead", "is no ZeroShotHead of this project"),
        ("model.decode_head.type", "FCNHead", "is no ZeroShotHead"),
        ("model.decode_head.type", ["TrustyHead"], "cannot be used: TypeError"),
        ("model.decode_head.loss", {"type": "os.system"}, "is no MaskLoss"),
        ("model.text_encoder.type", "webbrowser.open", "is no TextEncoder"),
        ("model.image_encoder.type", None, "type=None is no PromptedImageEncoder"),
        ("model._scope_", "evil", "model._scope_ cannot be in"),
        ("model.decode_head._scope_", "evil", "model.decode_head._scope_ cannot be in"),
        ("model.decode_head.decoder.type", "os.system", "model.decode_head.decoder.type cannot"),
        ("model.init_cfg", {"type": "Pretrained"}, "model.init_cfg.type cannot be in"),
        (
            "model.data_preprocessor.batch_augments",
            [{"type": "os.system"}],
            "batch_augments.0.type cannot",
        ),
        ("model.text_encoder.cache_dir", "/tmp", "cache_dir cannot be in"),
        ("model.clip.weights", "/etc/passwd", "is a file of one machine"),
        ("model.clip.model_name", "../up.json", "is a file of one machine"),
        ("model.clip.model_name", "hf-hub:evil/clip", "no model 'hf-hub:evil/clip'"),
        ("model.clip.model_name", "local-dir:/evil", "no model 'local-dir:/evil'"),
        ("model.clip.weights", "none/such.pt", "CLIP weights not found"),
        ("model.clip.weights", "random:0", "model.clip.weights='random:0' cannot be in"),
        ("model.clip.cache", "x", "not model_name and weights"),
        ("model.image_encoder.clip", {"weights": "x"}, "model.image_encoder.clip cannot be in"),
        ("model.decode_head.gamma", float("inf"), "gamma=inf is no number for a model"),
        ("model.image_encoder.num_prompts", 10**9, "num_prompts=1000000000 is no number"),
        ("model.decode_head.decoder.num_layers", 65, "num_layers=65 is no number"),
        ("model.data_preprocessor.test_cfg", {"size_divisor": 16384}, "test_cfg cannot be in"),
        ("model.decode_head.colour", "red", r"config.json makes no model here: TypeError"),
        ("model.test_cfg.mode", "all", "neither 'whole' nor 'slide'"),
        (
            "model.test_cfg",
            {"mode": "slide", "crop_size": [96, 96], "stride": [96, 11]},
            "a pixel more than 64 times",
        ),
        ("test_pipeline", [{"type": "LoadImageFromFile"}], "cannot be in a file"),
        ("test_pipeline", [{"type": "Resize", "_scope_": "evil"}], "_scope_ cannot be in"),
        (
            "test_pipeline",
            [{"type": "Resize", "scale": [64, 65536]}],
            r"scale=\[64, 65536\] cannot be in a file, only up to 4096",
        ),
        ("test_pipeline", [{"type": "Resize", "scale_factor": 2}], "scale_factor=2 cannot be in"),
        ("dataset_meta.unseen", ["unicorn"], "unseen names no class: 'unicorn'"),
        ("dataset_meta", [1], "cannot be used"),
    ],
)
def test_hostile_configs_are_refused(folder: Path, place: str, value: Any, message: str) -> None:
    content = json.loads((folder / "config.json").read_text())
    changed(content, place, value)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        ZeroShotInferencer.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model.decode_head.type", "evil_module.Head"),
        ("model.decode_head.loss", {"type": "evil_module.Loss"}),
        ("model.text_encoder._scope_", "evil_module"),
        ("model.data_preprocessor.batch_augments", [{"type": "evil_module.Augment"}]),
        ("test_pipeline", [{"type": "evil_module.Resize"}]),
    ],
)
def test_nothing_is_imported(
    folder: Path, place: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As mmengine would import a module that is named, which runs it."""
    (folder / "evil_module").mkdir()
    ran = f"open({str(folder / 'ran')!r}, 'w').close()\n"
    for name in ("__init__", "registry"):
        (folder / "evil_module" / f"{name}.py").write_text(ran)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "evil_module", raising=False)
    content = json.loads((folder / "config.json").read_text())
    changed(content, place, value)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        ZeroShotInferencer.from_pretrained(folder, device="cpu")
    assert not (folder / "ran").exists()


def test_no_config_of_the_current_folder_is_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's folder may bring one under a name of ours."""
    monkeypatch.chdir(folder)
    Path("configs/_base_").mkdir(parents=True)
    Path("configs/_base_/default_runtime.py").write_text("open('ran', 'w').close()\n")
    ZeroShotInferencer.from_pretrained(".", device="cpu")
    assert not Path("ran").exists()


def test_damaged_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (content[:-100], content[:5], b"", b"\xff" * 100, b"PK\x03\x04" + content):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match="no readable safetensors file"):
            ZeroShotInferencer.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        ZeroShotInferencer.from_pretrained(folder)
    weights.write_bytes(content)
    (folder / "config.json").write_text("{" + " " * 2**20)
    with pytest.raises(InputError, match=r"config\.json has 1048577 bytes, and may have 1048576"):
        ZeroShotInferencer.from_pretrained(folder)
    for text in ("model = dict(type='x')", "[" * 100_000, "[]", '{"model_type": "bert"}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(InputError, match=r"config\.json"):
            ZeroShotInferencer.from_pretrained(folder)


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["decode_head.trusty_token"] = state["decode_head.trusty_token"][:, :64].contiguous()
    save_file(state, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"trusty_token is \(1, 64\) and the model's \(1, 128\)"):
        ZeroShotInferencer.from_pretrained(folder)


class OwnLoss(MaskLoss):
    """Of a training that others need not repeat to use the model."""


def test_a_loss_of_one_s_own_stays_at_home(tmp_path: Path) -> None:
    config, checkpoint = files_of("zegclip")
    cfg = Config.fromfile(config)
    cfg.model.decode_head.loss = dict(type=OwnLoss)
    ZeroShotInferencer(cfg, checkpoint, "cpu").save_pretrained(tmp_path)
    assert "loss" not in json.loads((tmp_path / "config.json").read_text())["model"]["decode_head"]
    ZeroShotInferencer.from_pretrained(tmp_path, device="cpu")


def test_weights_say_what_they_were_trained_on(folder: Path) -> None:
    """Who starts a training from them has seen it too."""
    found = checkpoint_meta(str(folder / "model.safetensors"))
    expected = checkpoint_meta(str(ROOT / MINI_CHECKPOINT))
    (trained,) = trained_on(found)
    for key in ("classes", "unseen", "setting"):
        assert list(trained[key]) == list(expected["dataset_meta"][key]), key
    assert found["trained_before"] == []


def test_a_model_is_published_with_the_settings_of_its_training(tmp_path: Path) -> None:
    config, checkpoint = files_of("ldvc")
    cfg, content = Config.fromfile(config), torch.load(checkpoint, weights_only=True)
    cfg.model.decode_head.decoder.topk = 2
    cfg.model.text_encoder.templates = ["a {}."]  # the config's are another data set's, on purpose
    content["meta"]["settings"] = training_settings(cfg)
    torch.save(content, tmp_path / "trained.pth")
    publish = [config, str(tmp_path / "trained.pth"), "--out", str(tmp_path / "published")]
    with pytest.raises(InputError, match=r"trained: model\.decode_head\.decoder\.topk \(2 -> "):
        publish_model.main(publish)
    assert not (tmp_path / "published").exists()
    # All options of the training may be given again; a config may hold names that nothing reads.
    publish[0] = str(tmp_path / "left_in_the_work_folder.py")
    Path(publish[0]).write_text(f"_base_ = {str(Path(config).resolve())!r}\nunseen = ['cat']\n")
    options = ["model.decode_head.decoder.topk=2", "train_cfg.max_iters=9"]
    publish_model.main([*publish, "--cfg-options", *options])
    published = json.loads((tmp_path / "published/config.json").read_text())["model"]
    assert published["decode_head"]["decoder"]["topk"] == 2
    assert published["text_encoder"]["templates"] == "single"


def test_what_others_could_not_load_is_not_written(tmp_path: Path) -> None:
    config, checkpoint = files_of("tagclip")
    cfg = Config.fromfile(config)
    cfg.model.clip.weights = str(ROOT / cfg.model.clip.weights)
    with pytest.raises(InputError, match=r"model\.clip\.weights='/.* is a file of one machine"):
        ZeroShotInferencer(cfg, checkpoint, "cpu").save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("name", ["README.md", "config.json", "report.json"])
def test_files_of_something_else_are_not_replaced(
    inferencer: ZeroShotInferencer, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text('["somebody\'s own"]')
    with pytest.raises(InputError, match=rf"holds a {name} that is no model's written here"):
        inferencer.save_pretrained(tmp_path)
    assert (tmp_path / name).read_text() == '["somebody\'s own"]'
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_clone_of_a_new_repository_is_written_to(
    inferencer: ZeroShotInferencer, tmp_path: Path
) -> None:
    """The Hub has put a card into it, with the licence."""
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    inferencer.save_pretrained(tmp_path)
    assert "from_pretrained" in (tmp_path / "README.md").read_text()


def test_the_hub_gives_back_what_was_pushed(
    inferencer: ZeroShotInferencer, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = inferencer.push_to_hub(NAME).rpartition("/")[2]
    assert set(hub.commits[first]) == {"README.md", "config.json", "model.safetensors"}
    assert f'from_pretrained("{NAME}")'.encode() in hub.commits[first]["README.md"]
    found = ZeroShotInferencer.from_pretrained(NAME, device="cpu")
    assert_same(found, inferencer)
    assert sorted(hub.downloads) == ["config.json", "model.safetensors"]

    # A newer version, in which other words are unseen; the old one is still there by its commit.
    config = json.loads(hub.commits[first]["config.json"])
    config["dataset_meta"]["unseen"] = ["cat"]
    hub.commit(NAME, {"config.json": json.dumps(config).encode()})
    hub.commit(NAME, {"report.json": b"of other weights"}, "main")
    newer = ZeroShotInferencer.from_pretrained(NAME, device="cpu")
    assert newer.vocabulary().unseen == ("cat",)
    pinned = ZeroShotInferencer.from_pretrained(NAME, revision=first, device="cpu")
    assert pinned.vocabulary().unseen == inferencer.vocabulary().unseen

    trial = inferencer.push_to_hub(NAME, revision="trial").rpartition("/")[2]
    assert set(hub.commits[trial]) == {"README.md", "config.json", "model.safetensors"}
    found = ZeroShotInferencer.from_pretrained(NAME, revision="trial", device="cpu")
    assert found.vocabulary() == inferencer.vocabulary()

    hub.close()  # what was downloaded is there without a network
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_same(ZeroShotInferencer.from_pretrained(NAME, device="cpu"), newer)


def test_files_of_the_hub_are_checked_as_well(folder: Path, hub: HubServer) -> None:
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    config = json.loads(files["config.json"])
    config["model"]["decode_head"]["type"] = "os.system"
    hub.commit("evil/head", files | {"config.json": json.dumps(config).encode()})
    with pytest.raises(InputError, match=r"decode_head\.type='os\.system' is no ZeroShotHead"):
        ZeroShotInferencer.from_pretrained("evil/head")
    hub.commit("evil/cut", files | {"model.safetensors": files["model.safetensors"][:-9]})
    with pytest.raises(InputError, match="no readable safetensors file"):
        ZeroShotInferencer.from_pretrained("evil/cut")
    hub.commit("other/pickle", {"pytorch_model.bin": b"", "config.json": b'{"model_type": "x"}'})
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        ZeroShotInferencer.from_pretrained("other/pickle")


def test_what_the_hub_refuses(inferencer: ZeroShotInferencer, folder: Path, hub: HubServer) -> None:
    hub.commit(NAME, {file.name: file.read_bytes() for file in folder.iterdir()})
    fetch = ZeroShotInferencer.from_pretrained
    for arguments in (("no/such",), (NAME, "v9"), ("not a name",), ("a/b/c",)):
        with pytest.raises(InputError, match=f"{arguments[0]} is no folder, and cannot be fetched"):
            fetch(*arguments)
    with pytest.raises(InputError, match="is a folder, which has no revision 'v1'"):
        fetch(folder, "v1")
    with pytest.raises(InputError, match=f"others/x cannot be put on {hub.endpoint}: .*namespace"):
        inferencer.push_to_hub("others/x")
    hub.close()
    with pytest.raises(InputError, match=f"{NAME} is no folder, and .*Connection refused"):
        fetch(NAME)


@pytest.mark.slow
def test_the_tools_with_the_endpoint_of_the_environment(tmp_path: Path) -> None:
    hub = HubServer()
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path),
        "HF_TOKEN": "hf_of_nobody", "PYTHONPATH": str(ROOT),
    }  # fmt: skip

    def run(tool: str, *arguments: str) -> str:
        command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    printed = run("publish_model.py", *files_of("tagclip"), "--push", NAME)
    assert printed.strip().startswith(f"{hub.endpoint}/{NAME}/commit/")
    scene = ROOT / "docs" / "demo.png"
    printed = run("image_demo.py", str(scene), "--model", NAME, "--json", "areas.json")
    hub.close()
    written = json.loads((tmp_path / "areas.json").read_text())
    assert len(written["classes"]) == 20 and NAME.replace("/", "--") in written["checkpoint"]
