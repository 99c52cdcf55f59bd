# Fully supervised upper bound: trained on the unseen classes as well.
_base_ = "./zegclip_context59_inductive.py"
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(setting="supervised"))
