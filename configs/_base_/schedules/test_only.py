# For configs that only test: another config's checkpoint (cross-dataset), or CLIP without training.
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    visualization=dict(type="SegVisualizationHook"),
    vocabulary=dict(type="VocabularyHook"),
    report=dict(type="ReportHook"),
    plain_checkpoint=dict(type="PlainCheckpointHook"),
)
