# CLIP ViT-B/16 as it is: nothing is learned. The protocol is SCLIP's and NACLIP's.
model = dict(
    type="ZeroShotSegmentor",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # CLIP's own statistics.
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(224, 224),
    ),
    clip=dict(model_name="ViT-B-16-quickgelu", weights="openai"),
    # The last block's way: clip, maskclip, sclip, clearclip or naclip.
    image_encoder=dict(type="TrainingFreeImageEncoder", last_block="naclip", neighbourhood=5.0),
    text_encoder=dict(type="TextEncoder", templates="imagenet80"),
    decode_head=dict(type="TrainingFreeHead", scale=40.0),
    test_cfg=dict(mode="slide", crop_size=(224, 224), stride=(112, 112)),
)
# For the configs' data sets: photographs are smaller than for the trained methods.
pipeline_336 = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeShortestEdge", scale=336, max_size=65536),
    dict(type="LoadCheckedAnnotations"),
    dict(type="PackZeroShotInputs"),
]
# tools/test.py --tta: the trained methods' range about that size.
tta_pipeline_336 = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="ResizeShortestEdge", scale=side, max_size=65536)
                for side in (294, 336, 420)
            ],
            [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
            [dict(type="LoadCheckedAnnotations")],
            [dict(type="PackZeroShotInputs")],
        ],
    ),
]
