# PASCAL Context, 59 classes, background ignored (the tables of OTSeg and Cascade-CLIP); 4,996
# training and 5,104 validation images.
_base_ = "./photos.py"

train_dataloader = dict(
    dataset=dict(
        type="Context59Dataset",
        data_root="data/VOCdevkit/VOC2010",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
        ann_file="ImageSets/SegmentationContext/train.txt",
    )
)
val_dataloader = test_dataloader = dict(
    dataset=dict(
        type="Context59Dataset",
        data_root="data/VOCdevkit/VOC2010",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
        ann_file="ImageSets/SegmentationContext/val.txt",
    )
)
