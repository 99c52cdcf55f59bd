# Self-training, from half of the inductive schedule on, on the pixels whose ground truth is an
# unseen class: where unseen objects are is known (marked † in papers' tables).
_base_ = "./tagclip_mini_inductive.py"
load_from = "work_dirs/tagclip_mini_inductive/iter_250.pth"
train_cfg = dict(max_iters=250)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
model = dict(pseudo_labels="unseen_pixels")
