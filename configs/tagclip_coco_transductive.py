# Self-training, from half of the inductive schedule on, on the pixels whose ground truth is an
# unseen class: where unseen objects are is known (marked † in papers' tables).
_base_ = "./tagclip_coco_inductive.py"
load_from = "work_dirs/tagclip_coco_inductive/iter_40000.pth"
train_cfg = dict(max_iters=40000)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
model = dict(pseudo_labels="unseen_pixels")
