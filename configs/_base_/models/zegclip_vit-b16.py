# ZegCLIP: frozen CLIP ViT-B/16 with deep prompts, relationship descriptor, ATM decoder.
data_preprocessor = dict(
    type="SegDataPreProcessor",
    # ImageNet's statistics, as published, not CLIP's.
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(512, 512),
)
model = dict(
    type="ZeroShotSegmentor",
    data_preprocessor=data_preprocessor,
    # A tag of open_clip: data/clip/ViT-B-16.pt if it is there, else downloaded once. Or a file.
    clip=dict(model_name="ViT-B-16-quickgelu", weights="openai"),
    image_encoder=dict(type="PromptedImageEncoder", num_prompts=10),
    text_encoder=dict(type="TextEncoder", templates="single"),
    decode_head=dict(
        type="ATMHead",
        decoder=dict(num_layers=3, num_heads=8, feedforward_channels=2048, dropout=0.1),
        gamma=0.1,
        loss=dict(type="MaskLoss", focal_weight=100.0, dice_weight=1.0),
    ),
    test_cfg=dict(mode="slide", crop_size=(512, 512), stride=(426, 426)),
)
