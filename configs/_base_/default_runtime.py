# What every run shares. Nothing here needs a GPU: without CUDA the process group becomes gloo.
default_scope = "mmseg"
custom_imports = dict(imports=["zegclip", "tagclip", "ldvc"], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
custom_hooks = [
    dict(type="VocabularyHook"),  # class names and split: from the data set to the model
    dict(type="BatchSizeHook"),  # warns where the batch is not the recipe's
    dict(type="PseudoLabelHook"),  # transductive: pixels pseudo-labelled with which class
    dict(type="ReportHook"),  # report.json beside the log
    dict(type="PlainCheckpointHook"),  # checkpoints that load as data
    # Draws a few validation images, where the visualizer has more than the local backend
    # (configs/tensorboard_example.py).
    dict(type="PredictionSheetHook", interval=1, num_images=4),
]
# The last decoder layer's value and feed-forward parameters get no gradient
# (zegclip.heads.ATMDecoder).
find_unused_parameters = True
log_processor = dict(by_epoch=False)
log_level = "INFO"
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
load_from = None
resume = False
