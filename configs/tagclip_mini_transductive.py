# Self-training on the unseen pixels, from half of the inductive schedule on.
_base_ = "./tagclip_mini_inductive.py"
load_from = "work_dirs/tagclip_mini_inductive/iter_500.pth"
train_cfg = dict(max_iters=500)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
