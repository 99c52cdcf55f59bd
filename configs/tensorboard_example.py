# Scalars and, at each validation, drawings of a few images in TensorBoard:
#   pip install tensorboard
#   python tools/train.py configs/tensorboard_example.py
#   tensorboard --logdir work_dirs/tensorboard_example
# For Weights & Biases: dict(type="WandbVisBackend", init_kwargs=dict(project="zegclip")) instead.
_base_ = "./tagclip_mini_inductive.py"
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(vis_backends=vis_backends)
