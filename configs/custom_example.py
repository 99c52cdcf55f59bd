# Your own data: copy this file, change the lines up to the dashes, train, test (docs/own_data.md).
_base_ = [
    "./_base_/models/zegclip_vit-b16.py",  # or tagclip_vit-b16.py, ldvc_vit-b16.py
    "./_base_/datasets/photos.py",
    "./_base_/schedules/schedule_20k.py",
    "./_base_/default_runtime.py",
]
data_root = "data/custom"  # holds images/{train,val} and masks/{train,val}
classes = ["cat", "dog", "grass", "road", "sky"]  # label 0, 1, 2, ... of the masks; 255: ignored
unseen = ["dog", "road"]  # not trained on
synonyms = {"road": ["road", "street"]}  # other words for the embedding of a class; {}: its name
img_suffix = [".jpg", ".jpeg", ".png"]
zero_is_background = False  # True: 0 is ignored, and the classes are 1, 2, 3, ...
# ----------------------------------------------------------------------------------------------
data = dict(
    type="ZeroShotDataset",
    data_root=data_root,
    metainfo=dict(classes=classes, dataset_name="my data"),
    unseen=unseen,
    synonyms=synonyms,
    img_suffix=img_suffix,
    reduce_zero_label=zero_is_background,
)
train_dataloader = dict(
    dataset=dict(**data, data_prefix=dict(img_path="images/train", seg_map_path="masks/train"))
)
val_dataloader = test_dataloader = dict(
    dataset=dict(**data, data_prefix=dict(img_path="images/val", seg_map_path="masks/val"))
)
