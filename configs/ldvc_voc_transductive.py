# Self-training, from half of the inductive schedule on, on the pixels whose ground truth is an
# unseen class: where unseen objects are is known (marked † in papers' tables).
_base_ = "./ldvc_voc_inductive.py"
load_from = "work_dirs/ldvc_voc_inductive/iter_10000.pth"
train_cfg = dict(max_iters=10000)
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="transductive"))
# (ZegCLIP's published config of this setting has focal_weight 20; LDVC's is not published.)
model = dict(pseudo_labels="unseen_pixels")
