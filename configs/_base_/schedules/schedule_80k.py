# COCO-Stuff 164K: 80,000 iterations.
_base_ = "./recipe.py"

train_cfg = dict(max_iters=80000, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
