# PASCAL Context, 60 classes: background is a seen class (the tables of ZegCLIP, TagCLIP, CLIP-RC,
# RPN).
_base_ = "./context_59.py"

train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(type="Context60Dataset"))
