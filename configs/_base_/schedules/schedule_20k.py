# PASCAL VOC 2012: 20,000 iterations.
_base_ = "./recipe.py"

train_cfg = dict(max_iters=20000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
