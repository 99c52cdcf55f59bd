# PASCAL VOC 2012, 21 classes: background is a seen class, void ignored. Not the papers' tables.
_base_ = "./voc12_20.py"

train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(type="VOC21Dataset"))
