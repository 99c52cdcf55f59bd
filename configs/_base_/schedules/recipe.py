# The recipe that all methods share (ZegCLIP, Sec. 4; learning rate as in the published code): AdamW
# with one learning rate for every learnable parameter, linear warm-up, polynomial decay, batch 16.
# The schedule_*.py files add how long it lasts.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-4, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
)
# Both from the first iteration on: while it warms up, the rate is the product of the two. PolyLR
# ends with train_cfg.max_iters, so that another length is one number.
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=1e-6, begin=0, by_epoch=False),
]
# The batch (x GPUs x accumulation) that the learning rate was chosen for; --auto-scale-lr uses it.
auto_scale_lr = dict(enable=False, base_batch_size=16)

train_cfg = dict(type="IterBasedTrainLoop")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
# Here and not in the runtime, because two bases may not set the same key (as in mmseg). Ours are
# among them, so that custom_hooks of your own take nothing away.
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # All are kept: the transductive setting starts from the one at half the schedule.
    checkpoint=dict(type="CheckpointHook", by_epoch=False, rule="greater"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
    vocabulary=dict(type="VocabularyHook"),  # class names and split: from the data to the model
    recipe=dict(type="RecipeHook"),  # warns where batch, updates or warm-up are not the recipe's
    pseudo_labels=dict(type="PseudoLabelHook"),  # transductive: pixels labelled with which class
    report=dict(type="ReportHook"),  # report.json beside the log
    plain_checkpoint=dict(type="PlainCheckpointHook"),  # checkpoints that load as data
    resume=dict(type="ResumeHook"),  # a resumed run is the uninterrupted one
    finite=dict(type="FiniteHook"),  # stops at a loss that is NaN or infinite
    # Draws a few validation images, where the visualizer has more than the local backend
    # (configs/tensorboard_example.py).
    prediction_sheet=dict(type="PredictionSheetHook", interval=1, num_images=4),
)
