# ADE20K, 150 classes, everything else ignored; 20,210 training and 2,000 validation images. There
# is no agreed split: a cross-dataset target, or name unseen classes in your config (or write
# setting="supervised" in the three data sets).
_base_ = "./photos.py"

train_dataloader = dict(
    dataset=dict(
        type="ADE150Dataset",
        data_root="data/ade/ADEChallengeData2016",
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
    )
)
val_dataloader = test_dataloader = dict(
    dataset=dict(
        type="ADE150Dataset",
        data_root="data/ade/ADEChallengeData2016",
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
    )
)
