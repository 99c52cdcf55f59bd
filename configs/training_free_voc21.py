# The background is what its words say, and what no word fits (the threshold).
_base_ = [
    "./_base_/models/training_free_vit-b16.py",
    "./_base_/datasets/voc12_21.py",
    "./_base_/schedules/test_only.py",
    "./_base_/default_runtime.py",
]
train_dataloader = val_dataloader = val_evaluator = None
model = dict(test_cfg=dict(background=dict(threshold=0.1)))
# Replaces the data set's, so it repeats those.
synonyms = dict(
    background=[
        "sky", "wall", "tree", "wood", "grass", "road", "sea", "river", "mountain", "sands", "desk",
        "bed", "building", "cloud", "lamp", "door", "window", "wardrobe", "ceiling", "shelf",
        "curtain", "stair", "floor", "hill", "rail", "fence",
    ],
    diningtable=["dining table"],
    pottedplant=["potted plant"],
    tvmonitor=["tv monitor"],
)  # fmt: skip
test_dataloader = dict(
    dataset=dict(setting="cross_dataset", synonyms=synonyms, pipeline={{_base_.pipeline_336}})
)
tta_pipeline = {{_base_.tta_pipeline_336}}
