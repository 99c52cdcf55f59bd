# PASCAL Context: 40,000 iterations.
_base_ = "./recipe.py"

train_cfg = dict(max_iters=40000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
