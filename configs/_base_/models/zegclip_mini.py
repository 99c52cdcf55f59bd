# ZegCLIP on the tiny CLIP of the mini benchmark (data/mini/README.md). What differs from ViT-B/16
# was chosen on the mini benchmark, for a schedule of minutes; none of it is the papers'.
_base_ = "./zegclip_vit-b16.py"
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    clip=dict(model_name="data/mini/tiny_clip.json", weights="data/mini/tiny_clip.safetensors"),
    # No dropout: a tower of 1 M parameters rather underfits (inferred).
    image_encoder=dict(prompt_dropout=0.0),
    decode_head=dict(
        decoder=dict(num_heads=4, feedforward_channels=512, dropout=0.0),
        # From the usual start masks are far behind after 500 steps (docs/comparison.md).
        aligned_start=4.0,
        gamma=0.0,
    ),
    test_cfg=dict(_delete_=True, mode="whole"),
)
