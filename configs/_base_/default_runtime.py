# What every run shares. Nothing here needs a GPU: without CUDA the process group becomes gloo.
default_scope = "mmseg"
custom_imports = dict(imports=["zegclip", "tagclip", "ldvc"], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
log_processor = dict(by_epoch=False)
log_level = "INFO"
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
load_from = None
resume = False
tta_model = dict(type="ZeroShotTTAModel")  # tools/test.py --tta
