# The mini benchmark: scenes of emoji with VOC's class names and split, drawn on first use
# (data/mini/README.md).
_base_ = "./photos.py"

crop_size = (96, 96)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadCheckedAnnotations"),
    # Before any augmentation, as in photos.py.
    dict(type="HideUnseenLabels", keep_unseen_map=False),
    dict(type="RandomResize", scale=crop_size, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="FastRandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackZeroShotInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadCheckedAnnotations"),
    dict(type="PackZeroShotInputs"),
]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
            [dict(type="LoadCheckedAnnotations")],
            [dict(type="PackZeroShotInputs")],
        ],
    ),
]
train_dataloader = dict(
    num_workers=2, dataset=dict(type="MiniSceneDataset", split="train", pipeline=train_pipeline)
)
val_dataloader = test_dataloader = dict(
    num_workers=2, dataset=dict(type="MiniSceneDataset", split="test", pipeline=test_pipeline)
)
