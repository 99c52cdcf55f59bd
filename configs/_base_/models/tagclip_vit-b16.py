# TagCLIP: ZegCLIP with a trusty token; its map weights the classes at inference.
_base_ = "./zegclip_vit-b16.py"
model = dict(
    decode_head=dict(
        type="TrustyHead",
        structure="project_first",
        trusty_loss="focal",
        trusty_loss_weight=10.0,
        trusty_target="seen",
        trusty_weighting="both",
        loss=dict(focal_weight=20.0),
    )
)
