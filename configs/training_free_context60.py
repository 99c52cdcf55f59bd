# Background is predicted where its own name fits best, or no class reaches the threshold.
_base_ = [
    "./_base_/models/training_free_vit-b16.py",
    "./_base_/datasets/context_60.py",
    "./_base_/schedules/test_only.py",
    "./_base_/default_runtime.py",
]
train_dataloader = val_dataloader = val_evaluator = None
model = dict(test_cfg=dict(background=dict(threshold=0.1)))
test_dataloader = dict(dataset=dict(setting="cross_dataset", pipeline={{_base_.pipeline_336}}))
tta_pipeline = {{_base_.tta_pipeline_336}}
