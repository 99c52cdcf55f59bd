# The mini benchmark: minutes on two cores.
_base_ = "./recipe.py"

optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, begin=0, end=50, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=1e-6, begin=0, by_epoch=False),
]
train_cfg = dict(max_iters=500, val_interval=250)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=250))
