# TagCLIP on the tiny CLIP of the mini benchmark.
_base_ = "./zegclip_mini.py"
model = dict(decode_head=dict(type="TrustyHead", loss=dict(focal_weight=20.0)))
