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
    # Attention of the last block: clip, maskclip, sclip, clearclip or naclip.
    image_encoder=dict(type="TrainingFreeImageEncoder", last_block="naclip", neighbourhood=5.0),
    text_encoder=dict(type="TextEncoder", templates="imagenet80"),
    decode_head=dict(type="TrainingFreeHead", scale=40.0),
    test_cfg=dict(mode="slide", crop_size=(224, 224), stride=(112, 112)),
)
# Photographs are smaller than for the trained methods: shorter side 336, of COCO-Stuff 448.
pipeline_336, pipeline_448 = (
    [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeShortestEdge", scale=shorter_side, max_size=65536),
        dict(type="LoadCheckedAnnotations"),
        dict(type="PackZeroShotInputs"),
    ]
    for shorter_side in (336, 448)
)
# tools/test.py --tta: the trained methods' range about that size.
tta_pipeline_336, tta_pipeline_448 = (
    [
        dict(type="LoadImageFromFile"),
        dict(
            type="TestTimeAug",
            transforms=[
                [
                    dict(type="ResizeShortestEdge", scale=shorter_side, max_size=65536)
                    for shorter_side in sizes
                ],
                [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
                [dict(type="LoadCheckedAnnotations")],
                [dict(type="PackZeroShotInputs")],
            ],
        ),
    ]
    for sizes in ((294, 336, 420), (392, 448, 560))
)
