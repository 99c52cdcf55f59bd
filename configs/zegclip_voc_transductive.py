# Self-training on the unseen pixels, from half of the inductive schedule on.
_base_ = "./zegclip_voc_inductive.py"
load_from = "work_dirs/zegclip_voc_inductive/iter_10000.pth"
train_cfg = dict(max_iters=10000)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
