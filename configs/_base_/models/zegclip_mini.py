# ZegCLIP on the tiny CLIP of the mini benchmark (data/mini/README.md).
_base_ = './zegclip_vit-b16.py'
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    clip=dict(
        model_name='data/mini/tiny_clip.json', weights='data/mini/tiny_clip.safetensors'),
    decode_head=dict(num_heads=4, feedforward_channels=512),
    test_cfg=dict(_delete_=True, mode='whole'))
