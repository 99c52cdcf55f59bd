_base_ = [
    "./_base_/models/training_free_vit-b16.py",
    "./_base_/datasets/voc12_20.py",
    "./_base_/schedules/test_only.py",
    "./_base_/default_runtime.py",
]
train_dataloader = val_dataloader = val_evaluator = None
# SCLIP's words.
synonyms = dict(
    boat=["ship"],
    diningtable=["table"],
    person=[
        "person", "person in shirt", "person in jeans", "person in dress", "person in sweater",
        "person in skirt", "person in jacket",
    ],
    tvmonitor=["television monitor", "tv monitor", "monitor", "television", "screen"],
)  # fmt: skip
test_dataloader = dict(
    dataset=dict(setting="cross_dataset", synonyms=synonyms, pipeline={{_base_.pipeline_336}})
)
tta_pipeline = {{_base_.tta_pipeline_336}}
