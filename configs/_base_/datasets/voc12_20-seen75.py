# PASCAL VOC 2012 with 11 of its 15 seen classes (75 %): in label order all but every fourth,
# from the second on. The other 4 count as unseen: not trained on, and part of mIoU(U).
_base_ = "./voc12_20.py"
unseen = [
    "bicycle", "bus", "cow", "motorbike", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]  # fmt: skip
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(unseen=unseen))
