_base_ = [
    "./_base_/models/tagclip_vit-b16.py",
    "./_base_/datasets/voc12_20-seen50.py",
    "./_base_/schedules/schedule_20k.py",
    "./_base_/default_runtime.py",
]
