# Self-training on the unseen pixels, from half of the inductive schedule on.
_base_ = "./zegclip_context_inductive.py"
load_from = "work_dirs/zegclip_context_inductive/iter_20000.pth"
train_cfg = dict(max_iters=20000)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
