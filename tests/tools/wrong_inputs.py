"""What a user may give wrong: commands, configs, data and checkpoints, and what must be said."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image

from zegclip.files import PROJECT_ROOT

# Written to a path: a text, bytes, a picture, what a function writes; ``None`` removes the file.
Content: TypeAlias = str | bytes | Image.Image | Callable[[Path], Any] | None
MODEL = PROJECT_ROOT / "data" / "mini" / "mini_model.pth"
WIDTH, HEIGHT = 48, 36

# A data set in a folder, TagCLIP's mini model, one iteration. The commands below are about it.
CONFIG = f"""
_base_ = '{PROJECT_ROOT}/configs/tagclip_mini_inductive.py'
load = [dict(type='LoadImageFromFile'), dict(type='LoadCheckedAnnotations')]
dataset = dict(
    _delete_=True, type='ZeroShotDataset', data_root='data', img_suffix=['.jpg', '.png'],
    data_prefix=dict(img_path='images', seg_map_path='masks'), setting='inductive',
    metainfo=dict(classes=['cat', 'dog', 'sofa']), unseen=['sofa'])
train = dict(ann_file='train.txt', pipeline=[
    *load, dict(type='HideUnseenLabels'), dict(type='FastRandomCrop', crop_size=(36, 36)),
    dict(type='PackZeroShotInputs')])
val = dict(ann_file='val.txt', pipeline=[*load, dict(type='PackZeroShotInputs')])
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, batch_size=2, dataset={{**dataset, **train}})
val_dataloader = test_dataloader = dict(**loader, dataset={{**dataset, **val}})
model = dict(data_preprocessor=dict(size=(36, 36)))
train_cfg = dict(max_iters=1, val_interval=1)
"""
TRAIN, TEST = "train.py mine.py", "test.py mine.py model.pth"
SET, BROWSE = f"{TRAIN} --cfg-options", "browse_dataset.py mine.py --number 0"
DATA = "train_dataloader['dataset']"


class Wrong(NamedTuple):
    """One wrong input.

    Attributes:
        given: what is wrong, in a few words.
        command: of a tool.
        says: a regular expression that the message matches: the culprit, and what to do.
        config: lines that are added to the config.
        files: what is written to the folder before.
    """

    given: str
    command: str
    says: str
    config: str = ""
    files: Mapping[str, Content] = {}


class WritesAFile:
    """Touches a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch was_here",)


def mask(value: int, size: tuple[int, int] = (WIDTH, HEIGHT), dtype: Any = np.uint8) -> Image.Image:
    return Image.fromarray(np.full(size[::-1], value, dtype))


def changed(**parts: Any) -> Callable[[Path], Any]:
    """The mini model's checkpoint with other parts."""
    return lambda file: torch.save({**torch.load(MODEL, weights_only=True), **parts}, file)


def turned(file: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # by a quarter to the right
    Image.new("RGB", (WIDTH, HEIGHT)).save(file, exif=exif)


def saved(content: Any) -> Callable[[Path], Any]:
    return partial(torch.save, content)


PHOTO, MASK = "data/images/c.jpg", "data/masks/c.png"
BOM = b"\xef\xbb\xbf"
HTML = b"<!DOCTYPE html><html>please sign in</html>"

COMMANDS = [
    Wrong("training what only tests", "train.py zegclip_coco_to_voc --amp",
          "has no train_dataloader: it only tests a checkpoint"),
    Wrong("no config", "train.py", "required: config"),
    Wrong("a config that is not there", "train.py tagclip_voc_indutive.py",
          r"no config 'tagclip_voc_indutive\.py'.*configs/tagclip_voc_inductive\.py"),
    Wrong("a folder as config", "train.py data", "no config 'data'"),
    Wrong("a text as config", "train.py data/train.txt", r"train\.txt.*py/yml/yaml/json"),
    Wrong("an option without value", f"{SET} foo", "--cfg-options foo: give KEY=VALUE"),
    Wrong("brackets that are not closed", f"{SET} x=[(1,2]", "give KEY=VALUE, lists as"),
    Wrong("a misspelt option", f"{SET} trian_cfg.max_iters=3", r"trian_cfg.*set train_cfg"),
    Wrong("an option behind a list's end", f"{SET} train_dataloader.dataset.pipeline.9.type=X",
          "--cfg-options cannot be applied: Index 9"),
    Wrong("pictures by several processes", f"{TEST} --show-dir x --launcher pytorch",
          "--show-dir draws in one process"),
    Wrong("an unknown launcher", f"{TRAIN} --launcher foo", "--launcher: invalid choice: 'foo'"),
    Wrong("processes that nobody started", f"{TRAIN} --launcher pytorch", "by torchrun, as tools/"),
    Wrong("a seed below 0", f"{TRAIN} --seed -1", "--seed -1 must be a number from 0"),
    Wrong("a seed in words", f"{TRAIN} --seed one", "--seed: invalid int value: 'one'"),
    Wrong("a file as work dir", f"{TRAIN} --work-dir mine.py", r"mine\.py cannot be used: File ex"),
    Wrong("a work dir in a file", f"{TRAIN} --work-dir mine.py/x", r"mine\.py/x .*Not a directory"),
    Wrong("an unknown class", f"{TRAIN} --unseen cow", "unseen names no class: 'cow'.* cat, dog"),
    Wrong("a class in other letters", f"{TRAIN} --unseen Sofas", "'Sofas' .did you mean 'sofa'"),
    Wrong("only unseen classes", f"{TRAIN} --unseen cat dog sofa", "all 3 classes are unseen"),
    Wrong("no unseen class", f"{TRAIN} --unseen", "--unseen: expected at least one argument"),
    Wrong("nothing to test on", TEST, "this config has no test_dataloader: it only trains",
          "test_dataloader = None"),
    Wrong("no checkpoint", "test.py mine.py", "give a checkpoint, or predictions"),
    Wrong("a checkpoint that is not there", "test.py mine.py iter_9.pth",
          r"no checkpoint 'iter_9\.pth'. There is model\.pth"),
    Wrong("a checkpoint and predictions", f"{TEST} --from-predictions x", "goes without a check"),
    Wrong("no predictions", "test.py mine.py --from-predictions data/images", "no folder with PN"),
    Wrong("an option of the training", f"{TEST} --cfg-options train_cfg.max_iters=7",
          r"train_cfg\.max_iters \(of the training\)"),
    Wrong("a file as folder of maps", f"{TEST} --out mine.py", r"mine\.py cannot be used: File ex"),
    Wrong("a negative number", f"{BROWSE} --sample -3", "--sample are not negative"),
    Wrong("a folder as file", f"{BROWSE} --json data", "data cannot be used: Is a directory"),
    Wrong("a split that the config lacks", f"{BROWSE} --split test", "has no test_dataloader",
          "test_dataloader = None"),
    Wrong("a shape of no patches", "get_flops.py mine.py --shape 0 0", "multiples of 6"),
    Wrong("a figure that nobody draws", "visualize.py map mine.py model.pth --out x.png",
          "figure: invalid choice: 'map'"),
    Wrong("to analyse, a background that is no class", "analyze.py mine.py model.pth",
          "background needs a class called background here; .*background=None leaves it out",
          "model = dict(test_cfg=dict(background=dict(threshold=0.5)))"),
    Wrong("an image that is not there", "visualize.py predictions mine.py model.pth --out x.png "
          "--names zebra", "no image 'zebra' among the 2"),
    Wrong("no runs", "summarize.py data", r"no finished run's report\.json in data"),
    Wrong("a device that is not there", "image_demo.py data/images/a.jpg --mini --device quantum",
          "device 'quantum' cannot be used"),
    Wrong("another model's file", "image_demo.py data/images/a.jpg --onnx mine.py",
          r"mine\.py cannot be loaded by ONNX Runtime"),
    Wrong("no data set's name", "prepare_dataset.py vok", "invalid choice: 'vok'"),
]  # fmt: skip

CONFIGS = [
    Wrong("no Python", TRAIN, r"mine\.py.* cannot be read \(SyntaxError", "x = ("),
    Wrong("no Python, to count", "get_flops.py mine.py", r"cannot be read \(SyntaxError", "x = ("),
    Wrong("no Python, by seeds", "run_seeds.py mine.py", r"cannot be read \(SyntaxError", "x = ("),
    Wrong("a byte-order mark", TRAIN, "save it as UTF-8 without a byte-order mark",
          files={"mine.py": BOM + CONFIG.encode()}),
    Wrong("another encoding", TRAIN, r"mine\.py.*UnicodeDecodeError", files={"mine.py": b"\xff"}),
    Wrong("an unknown name", TRAIN, r"mine\.py:\d+: NameError: name 'cat'", "unseen = [cat]"),
    Wrong("a module that is not there", TRAIN, r"ModuleNotFoundError.*'nowhere'",
          "custom_imports = dict(imports=['nowhere'])"),
    Wrong("a base that is not there", TRAIN, r"nowhere\.py",
          files={"mine.py": "_base_ = 'nowhere.py'"}),
    Wrong("nothing", TRAIN, r"no model=dict\(...\): build on", files={"mine.py": ""}),
    Wrong("damaged JSON", "train.py mine.json", r"mine\.json.*JSONDecodeError",
          files={"mine.json": "{"}),
    Wrong("a misspelt key of the loop", TRAIN, "no setting 'max_itres' .did you mean 'max_iters'",
          "train_cfg = dict(max_itres=3)"),
    Wrong("a misspelt key of the head", TRAIN, "TrustyHead .* 'gama' .did you mean 'gamma'",
          "model = dict(decode_head=dict(gama=1.0))"),
    Wrong("a misspelt key of the decoder", TRAIN, "ATMDecoder takes no setting 'num_head'",
          "model = dict(decode_head=dict(decoder=dict(num_head=4)))"),
    Wrong("a misspelt key of the loss", TRAIN, "'focal_wieght' .did you mean 'focal_weight'",
          "model = dict(decode_head=dict(loss=dict(focal_wieght=1)))"),
    Wrong("a misspelt key of the data", TRAIN, "ZeroShotDataset .*'unsen' .did you mean 'unseen'",
          f"{DATA}['unsen'] = ['cat']"),
    Wrong("seen classes beside the unseen", TRAIN, "ZeroShotDataset takes no setting 'seen'",
          f"{DATA}['seen'] = ['cat', 'sofa']"),
    Wrong("a misspelt key of the loader", TRAIN, "DataLoader takes no setting 'batchsize'",
          "train_dataloader['batchsize'] = 3"),
    Wrong("a misspelt key of the checkpoints", TRAIN, "'intervall' .did you mean 'interval'",
          "default_hooks = dict(checkpoint=dict(intervall=3))"),
    Wrong("a misspelt name of a hook", TRAIN, "no type, or its name is misspelt: .'interval': 5",
          "default_hooks = dict(checkpont=dict(interval=5))"),
    Wrong("a misspelt key of the windows", TRAIN, r"test_cfg: unknown \['widow'\]; known are",
          "model = dict(test_cfg=dict(widow=3))"),
    Wrong("a misspelt key of CLIP", TRAIN, "model.clip=.* must name model_name and weights",
          "model = dict(clip=dict(weight='openai'))"),
    Wrong("a misspelt model", TRAIN, "'ZeroshotSegmentor' .*did you mean 'ZeroShotSegmentor'",
          "model = dict(type='ZeroshotSegmentor')"),
    Wrong("a misspelt transform", TRAIN, "type='LoadImage' is no transform.* custom_imports",
          f"{DATA}['pipeline'][0]['type'] = 'LoadImage'"),
    Wrong("a misspelt metric", TRAIN, "'ZeroShotIoU' .*did you mean 'ZeroShotIoUMetric'",
          "val_evaluator = dict(type='ZeroShotIoU')"),
    Wrong("a misspelt optimiser", TRAIN, "type='AdmW' is none .did you mean 'AdamW'",
          "optim_wrapper = dict(optimizer=dict(type='AdmW'))"),
    Wrong("another optimiser's settings", TRAIN, "SGD takes no betas.*_delete_=True",
          "optim_wrapper = dict(optimizer=dict(type='SGD'))"),
    Wrong("a rate in words", TRAIN, "AdamW .* from lr='fast'",
          "optim_wrapper = dict(optimizer=dict(lr='fast'))"),
    Wrong("no iterations", TRAIN, r"train_cfg\.max_iters=0 must be a whole number from 1 on",
          "train_cfg = dict(max_iters=0)"),
    Wrong("half an iteration", TRAIN, r"val_interval=0\.5 must be a whole number",
          "train_cfg = dict(val_interval=0.5)"),
    Wrong("fewer workers than none", TRAIN, "num_workers option should be non-negative",
          "train_dataloader['num_workers'] = -1"),
    Wrong("an unknown best number", TRAIN, "save_best: .* no mIoU, only pAcc, mIoU_S",
          "default_hooks = dict(checkpoint=dict(save_best='mIoU'))"),
    Wrong("heads that do not divide", TRAIN, "embed_dim must be divisible by num_heads",
          "model = dict(decode_head=dict(decoder=dict(num_heads=3)))"),
    Wrong("too deep prompts", TRAIN, "prompt_depth=9 must be between 1 and .* 6 blocks",
          "model = dict(image_encoder=dict(prompt_depth=9))"),
    Wrong("crops of no whole patches", TRAIN, "40x40 pixels is not made of whole patches.* of 6",
          "model = dict(data_preprocessor=dict(size=(40, 40)))"),
    Wrong("windows of no whole patches", TRAIN, r"crop_size=\(40, 40\) .*patch size 6",
          "model = dict(test_cfg=dict(mode='slide', crop_size=(40, 40), stride=(9, 9)))"),
    Wrong("gaps between windows", TRAIN, r"stride=\(60, 6\) must be between 1 and crop_size",
          "model = dict(test_cfg=dict(mode='slide', crop_size=(36, 36), stride=(60, 6)))"),
    Wrong("a template without a place", TRAIN, "each must hold '{}' exactly once",
          "model = dict(text_encoder=dict(templates=['a photo']))"),
    Wrong("another CLIP's name", TRAIN, "no model 'ViT-B-17' .did you mean 'ViT-B-16'",
          "model = dict(clip=dict(model_name='ViT-B-17'))"),
    Wrong("CLIP weights that are not there", TRAIN, "'no.pt' is no tag.*put the file there",
          "model = dict(clip=dict(weights='no.pt'))"),
    Wrong("the other activation", TRAIN, "QuickGELU.*use model_name='ViT-B-16-quickgelu'",
          "model = dict(clip=dict(model_name='ViT-B-16', weights='openai'))"),
    Wrong("a misspelt key of the metainfo", TRAIN, "metainfo has an entry 'clases' .*'classes'",
          f"{DATA}['metainfo'] = dict(clases=['cat'])"),
    Wrong("a misspelt key of the folders", TRAIN, "data_prefix has img_path and .*, no 'img_pth'",
          f"{DATA}['data_prefix'] = dict(img_pth='images', seg_map_path='masks')"),
    Wrong("no classes", TRAIN, "classes is empty: a vocabulary needs at least one",
          f"{DATA}['metainfo'] = dict(classes=[])"),
    Wrong("classes that are one to CLIP", TRAIN, "classes names twice .*: cat, Cat",
          f"{DATA}['metainfo'] = dict(classes=['cat', 'Cat', 'sofa'])"),
    Wrong("a file of classes that is not there", TRAIN, r"no list of names .*names\.txt",
          f"{DATA}['metainfo'] = dict(classes='names.txt')"),
    Wrong("one class without brackets", TRAIN, r"unseen='sofa' must be a list .*\['sofa'\]",
          f"{DATA}['unseen'] = 'sofa'"),
    Wrong("inductive without unseen classes", TRAIN, "unseen is empty.*setting='supervised'",
          f"{DATA}['unseen'] = []"),
    Wrong("two splits", TRAIN, r"training takes \['cat'\] as unseen, validation \['sofa'\]: give",
          f"{DATA}['unseen'] = ['cat']"),
    Wrong("words of no class", TRAIN, "synonyms names no class: 'couch'",
          f"{DATA}['synonyms'] = dict(couch=['sofa'])"),
    Wrong("an unknown setting", TRAIN, "setting='zero-shot' is none of inductive",
          f"{DATA}['setting'] = 'zero-shot'"),
    Wrong("two settings", TRAIN, "trained on sofa .*use one setting in all three loaders",
          f"{DATA}['setting'] = 'supervised'"),
    Wrong("self-training without a start", TRAIN, "none is named: set load_from",
          f"{DATA}['setting'] = 'transductive'"),
    Wrong("unseen labels in the pipeline", TRAIN, r"masks/\w\.png: label 2 .*HideUnseenLabels",
          f"{DATA}['pipeline'].pop(2)"),
]  # fmt: skip

DATA_SETS = [
    Wrong("half a photograph", TEST, r"c\.jpg: not a readable image.*truncated",
          files={PHOTO: lambda file: file.write_bytes(file.read_bytes()[:-500])}),
    Wrong("an empty photograph", TEST, r"c\.jpg: not a readable image", files={PHOTO: b""}),
    Wrong("a web page as photograph", TEST, r"c\.jpg: not a readable image", files={PHOTO: HTML}),
    Wrong("a damaged photograph of training", TRAIN, r"a\.jpg: not a readable image",
          files={"data/images/a.jpg": HTML}),
    Wrong("a photograph of floats", TEST, r"c\.png has float32 pixels: save it with 8 or 16",
          files={PHOTO: None, "data/images/c.png": lambda file: mask(0, dtype=np.float32).save(
              file, format="TIFF")}),
    Wrong("a decompression bomb", TEST, r"c\.png is too large .*cut it into tiles",
          files={PHOTO: None, "data/images/c.png": Image.new("1", (14000, 14000))}),
    Wrong("a mask of another size", TEST, r"c\.png: the mask is 47x36 .* its image 48x36; scale",
          files={MASK: mask(0, (47, 36))}),
    Wrong("a photograph that is turned", TEST, r"the mask is 48x36 .* 36x48 .*EXIF orientation",
          files={PHOTO: turned}),
    Wrong("a mask of colours", TEST, r"c\.png: several channels \(RGB\).*Replace each colour",
          files={MASK: Image.new("RGB", (WIDTH, HEIGHT))}),
    Wrong("a mask with alpha", TEST, r"c\.png: several channels \(LA\)",
          files={MASK: Image.new("LA", (WIDTH, HEIGHT))}),
    Wrong("a mask as JPEG", TEST, r"c\.png: a JPEG, which does not keep labels; make it anew",
          files={MASK: lambda file: mask(0).save(file, format="JPEG")}),
    Wrong("an unknown label", TEST, r"c\.png: 1728 pixels have the label 7.* 0\.\.2",
          files={MASK: mask(7)}),
    Wrong("a label of 16 bits", TEST, "have the label 300",
          files={MASK: mask(300, dtype=np.uint16)}),
    Wrong("labels from 1 on", TEST, "label 3.*reduce_zero_label=True", files={MASK: mask(3)}),
    Wrong("an empty mask", TEST, r"masks/c\.png: not a readable image", files={MASK: b""}),
    Wrong("a damaged mask of training", TRAIN, r"masks/a\.png: not a readable image",
          files={"data/masks/a.png": HTML}),
    Wrong("an image without mask", TEST, r"1 of 2 images .*val\.txt have no mask in .*: c\.png",
          files={MASK: None}),
    Wrong("a mask without image", TEST, r"1 of 2 images .*are not in .*: c\.jpg",
          files={PHOTO: None}),
    Wrong("two images of one name", TRAIN, r"images holds a\.jpg and a\.png, two images",
          f"{DATA}['ann_file'] = ''", {"data/images/a.png": mask(0)}),
    Wrong("an empty list", TRAIN, r"no image is named in data/train\.txt",
          files={"data/train.txt": "\n"}),
    Wrong("a list of files", TRAIN, r"a\.jpg\.jpg\. Lists name images without suffix",
          files={"data/train.txt": "a.jpg\n"}),
    Wrong("a list of others", TRAIN, r"2 of 3 images .*train\.txt.*: x\.jpg, y\.jpg",
          files={"data/train.txt": "x\ny\na\n"}),
    Wrong("a list in another encoding", TRAIN, r"train\.txt is not UTF-8.*save it",
          files={"data/train.txt": "tür".encode("cp1252")}),
    Wrong("no list", TRAIN, r"there is no data/train\.txt", files={"data/train.txt": None}),
    Wrong("no data", TRAIN, "there is no .*nowhere.*set data_root",
          f"{DATA}['data_root'] = 'nowhere'"),
    Wrong("no folder of masks", TRAIN, r"train_dataloader\.dataset\.data_prefix\.seg_map_path",
          f"{DATA}['data_prefix'] = dict(img_path='images')"),
    Wrong("a damaged mask to browse", BROWSE, r"1 files cannot be used:.*masks/a\.png: not a",
          files={"data/masks/a.png": HTML}),
]  # fmt: skip

CHECKPOINTS = [
    Wrong("another method's", TEST, "of another model than the config .*it lacks decode_head",
          files={"mine.py": CONFIG.replace("tagclip_mini", "zegclip_mini")}),
    Wrong("of another CLIP", TEST, "trained with other CLIP weights .*set model.clip",
          "model = dict(clip=dict(weights='random:3'))"),
    Wrong("cut short", TEST, r"model\.pth cannot be read as a checkpoint \(broken, cut short",
          files={"model.pth": MODEL.read_bytes()[:5000]}),
    Wrong("empty", TEST, r"model\.pth cannot be read as a checkpoint", files={"model.pth": b""}),
    Wrong("a web page", TEST, r"model\.pth .*a web page", files={"model.pth": HTML}),
    Wrong("a pickle that runs a command", TEST, r"model\.pth is refused: .*posix\.system.*any code",
          files={"model.pth": saved({"state_dict": {}, "x": WritesAFile()})}),
    Wrong("a bare pickle", TEST, r"model\.pth cannot be read as a checkpoint",
          files={"model.pth": pickle.dumps(WritesAFile())}),
    Wrong("a tensor", TEST, r"model\.pth holds a Tensor that is no checkpoint: give a file",
          files={"model.pth": saved(torch.zeros(3))}),
    Wrong("a state dict of nothing", TEST, r"model\.pth holds a dict that is no checkpoint",
          files={"model.pth": saved({"state_dict": 3})}),
    Wrong("numbers for weights", TEST, "of another model than the config",
          files={"model.pth": saved({"state_dict": {"clip_fingerprint": 3}})}),
    Wrong("weights that are no numbers", TEST, r"model\.pth: the weight x is NaN, .*earlier",
          files={"model.pth": saved({"state_dict": {"x": torch.full((2,), torch.nan)}})}),
    Wrong("meta in words", TEST, r"model\.pth holds a dict that is no checkpoint",
          files={"model.pth": changed(meta="mine")}),
    Wrong("of a training that saw the unseen", TEST, "trained on sofa .*config that trained it",
          files={"model.pth": changed(meta={"dataset_meta": {
              "classes": ["cat", "dog", "sofa"], "setting": "supervised"}})}),
    Wrong("to analyse, trained on fewer", "analyze.py mine.py model.pth",
          "not trained on dog, which this config calls seen",
          files={"model.pth": changed(meta={"dataset_meta": {
              "classes": ["cat", "dog", "sofa"], "unseen": ["dog", "sofa"]}})}),
    Wrong("damaged safetensors", "test.py mine.py model.safetensors",
          r"model\.safetensors is no readable safetensors", files={"model.safetensors": HTML}),
    Wrong("to start from, by init_cfg", TRAIN, "init_cfg.* name the checkpoint by load_from",
          "model = dict(init_cfg=dict(type='Pretrained', checkpoint='model.pth'))"),
    Wrong("to start from, not there", TRAIN, r"Checkpoint .*no\.pth: for another one",
          "load_from = 'no.pth'"),
    Wrong("to start from, out of reach", TRAIN, r"http://localhost:9/x\.pth cannot be downloaded",
          "load_from = 'http://localhost:9/x.pth'"),
    Wrong("without its config", "image_demo.py data/images/a.jpg --checkpoint model.pth",
          r"model\.pth: which config it was trained with .*--config PATH",
          files={"model.pth": changed(meta={})}),
    Wrong("to convert, one of ours", "convert_checkpoint.py model.pth --method tagclip --out x.pth",
          r"model\.pth is one of ours already"),
    Wrong("to publish with another's report", "publish_model.py mine.py model.pth --out published "
          "--report data/train.txt", r"train\.txt is no report of tools/test\.py"),
]  # fmt: skip

ROWS = [*COMMANDS, *CONFIGS, *DATA_SETS, *CHECKPOINTS]
