# TagCLIP on the tiny CLIP of the mini benchmark. The background's threshold is from selection
# scenes (tools/analyze.py, "background").
_base_ = "./zegclip_mini.py"
model = dict(
    decode_head=dict(
        type="TrustyHead", loss=dict(focal_weight=20.0), background=dict(threshold=0.28)
    )
)
