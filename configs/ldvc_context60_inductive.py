_base_ = [
    "./_base_/models/ldvc_vit-b16_context.py",
    "./_base_/datasets/context_60.py",
    "./_base_/schedules/schedule_40k.py",
    "./_base_/default_runtime.py",
]
