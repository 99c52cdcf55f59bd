# COCO-Stuff 164K, 171 classes, no background, unlabelled pixels ignored; 118,287 training and
# 5,000 validation images.
_base_ = "./photos.py"

train_dataloader = dict(
    dataset=dict(
        type="COCOStuff171Dataset",
        data_root="data/coco_stuff164k",
        data_prefix=dict(img_path="images/train2017", seg_map_path="annotations/train2017"),
    )
)
val_dataloader = test_dataloader = dict(
    dataset=dict(
        type="COCOStuff171Dataset",
        data_root="data/coco_stuff164k",
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
    )
)
