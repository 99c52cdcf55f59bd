# PASCAL VOC 2012 with 4 of its 15 seen classes (25 %): in label order every fourth, from
# the third on. The other 11 count as unseen: not trained on, and part of mIoU(U).
_base_ = "./voc12_20.py"
unseen = [
    "aeroplane", "bicycle", "boat", "bottle", "bus", "cat", "chair", "cow", "dog", "horse",
    "motorbike", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]  # fmt: skip
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(unseen=unseen))
