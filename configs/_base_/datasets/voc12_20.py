# PASCAL VOC 2012, 20 classes, background and void ignored; training on train + SBD's aug (10,582
# images), evaluation on val (1,449). Augmentation as published (ZegCLIP, Sec. 4.1).
dataset_type = "VOC20Dataset"
data_root = "data/VOCdevkit/VOC2012"
crop_size = (512, 512)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadCheckedAnnotations"),
    # Before any augmentation: RandomCrop looks at the classes.
    dict(type="HideUnseenLabels", keep_unseen_map=False),
    dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
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
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
        ann_file=["ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/aug.txt"],
        setting="inductive",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        ann_file="ImageSets/Segmentation/val.txt",
        setting="inductive",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ZeroShotIoUMetric")
test_evaluator = val_evaluator
