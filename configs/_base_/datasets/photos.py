# How photographs are read, the same for all data sets; their files add which ones. Augmentation as
# published (ZegCLIP, Sec. 4.1).
crop_size = (512, 512)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadCheckedAnnotations"),
    # Before any augmentation: FastRandomCrop(cat_max_ratio) looks at the labels.
    dict(type="HideUnseenLabels", keep_unseen_map=False),
    dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="FastRandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="FastPhotoMetricDistortion"),
    dict(type="PackZeroShotInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    # (2048, 512) with the shorter side at least 512: it is 512 in every photograph. Resize alone
    # would make it smaller in those longer than four to one.
    dict(type="ResizeShortestEdge", scale=512, max_size=65536),
    # After resizing: the prediction is brought to the label's own size and compared there.
    dict(type="LoadCheckedAnnotations"),
    dict(type="PackZeroShotInputs"),
]
# tools/test.py --tta: each size, as it is and mirrored.
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="ResizeShortestEdge", scale=side, max_size=65536)
                for side in (448, 512, 640)
            ],
            [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
            [dict(type="LoadCheckedAnnotations")],
            [dict(type="PackZeroShotInputs")],
        ],
    ),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(setting="inductive", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(setting="inductive", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ZeroShotIoUMetric")
test_evaluator = val_evaluator
