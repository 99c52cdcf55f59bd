_base_ = "../../../configs/_base_/schedules/schedule_mini.py"

default_scope = "mmseg"
custom_imports = dict(imports=["zegclip", "toy_segmentor"], allow_failed_imports=False)
env_cfg = dict(dist_cfg=dict(backend="nccl"))
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(by_epoch=False)

model = dict(
    type="ToySegmentor",
    num_classes=2,
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, size=(8, 8), seg_pad_val=255
    ),
)
dataset = dict(
    type="BaseSegDataset",
    data_root="toy_data",
    data_prefix=dict(img_path="images", seg_map_path="masks"),
    ann_file="all.txt",
    metainfo=dict(classes=("dark", "bright"), palette=[[0, 0, 0], [255, 255, 255]]),
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations"),
        dict(type="PackSegInputs"),
    ],
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dataset,
)
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False), dataset=dataset
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=0.1))
param_scheduler = []
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
randomness = dict(seed=0)
