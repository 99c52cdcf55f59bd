# PASCAL VOC 2012 with 8 of its 15 seen classes (50 %): in label order every second, from
# the first on. The other 7 count as unseen: not trained on, and part of mIoU(U).
_base_ = "./voc12_20.py"
unseen = [
    "bicycle", "boat", "bus", "cat", "cow", "dog", "motorbike", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
]  # fmt: skip
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(unseen=unseen))
