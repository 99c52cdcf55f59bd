_base_ = [
    "./_base_/models/zegclip_vit-b16_coco.py",
    "./_base_/datasets/coco_stuff164k_171.py",
    "./_base_/schedules/schedule_80k.py",
    "./_base_/default_runtime.py",
]
