# Self-training on the unseen pixels, from half of the inductive schedule on.
_base_ = "./tagclip_coco_inductive.py"
load_from = "work_dirs/tagclip_coco_inductive/iter_40000.pth"
train_cfg = dict(max_iters=40000)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
