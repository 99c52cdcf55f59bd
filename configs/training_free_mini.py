# With the split of the trained methods, whose numbers stand beside: mIoU(S), mIoU(U), hIoU.
_base_ = [
    "./_base_/models/training_free_vit-b16.py",
    "./_base_/datasets/mini.py",
    "./_base_/schedules/test_only.py",
    "./_base_/default_runtime.py",
]
train_dataloader = val_dataloader = val_evaluator = None
model = dict(
    # The tiny CLIP was pretrained with ImageNet's statistics.
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], size=(96, 96)
    ),
    clip=dict(model_name="data/mini/tiny_clip.json", weights="data/mini/tiny_clip.safetensors"),
    test_cfg=dict(_delete_=True, mode="whole"),
)
