# Background is predicted where one of SCLIP's words for it fits best, or no class reaches the
# threshold.
_base_ = "./training_free_voc.py"
model = dict(test_cfg=dict(background=dict(threshold=0.1)))
background = [
    "sky", "wall", "tree", "wood", "grass", "road", "sea", "river", "mountain", "sands", "desk",
    "bed", "building", "cloud", "lamp", "door", "window", "wardrobe", "ceiling", "shelf", "curtain",
    "stair", "floor", "hill", "rail", "fence",
]  # fmt: skip
test_dataloader = dict(dataset=dict(type="VOC21Dataset", synonyms=dict(background=background)))
