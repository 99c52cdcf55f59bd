# PASCAL VOC 2012, 20 classes, background and void ignored; training on train + SBD's aug (10,582
# images), evaluation on val (1,449). Masks are VOC's own where it has one, else SBD's, whichever
# of the two folders is named.
_base_ = "./photos.py"

train_dataloader = dict(
    dataset=dict(
        type="VOC20Dataset",
        data_root="data/VOCdevkit/VOC2012",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
        ann_file=["ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/aug.txt"],
    )
)
val_dataloader = test_dataloader = dict(
    dataset=dict(
        type="VOC20Dataset",
        data_root="data/VOCdevkit/VOC2012",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        ann_file="ImageSets/Segmentation/val.txt",
    )
)
