_base_ = [
    "./_base_/models/ldvc_mini.py",
    "./_base_/datasets/mini.py",
    "./_base_/schedules/schedule_mini.py",
    "./_base_/default_runtime.py",
]
