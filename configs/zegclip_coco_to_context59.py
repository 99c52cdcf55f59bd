# Cross-dataset test: the model of zegclip_coco_inductive.py, with PASCAL Context's 59 class names.
_base_ = [
    "./_base_/models/zegclip_vit-b16_coco.py",
    "./_base_/datasets/context_59.py",
    "./_base_/schedules/test_only.py",
    "./_base_/default_runtime.py",
]
train_dataloader = val_dataloader = val_evaluator = None
test_dataloader = dict(dataset=dict(setting="cross_dataset"))
