_base_ = [
    "./_base_/models/training_free_vit-b16.py",
    "./_base_/datasets/coco_stuff164k_171.py",
    "./_base_/schedules/test_only.py",
    "./_base_/default_runtime.py",
]
train_dataloader = val_dataloader = val_evaluator = None
test_dataloader = dict(dataset=dict(setting="cross_dataset", pipeline={{_base_.pipeline_448}}))
tta_pipeline = {{_base_.tta_pipeline_448}}
