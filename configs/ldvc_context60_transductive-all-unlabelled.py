# Self-training on every unlabelled pixel. On Context-60 every pixel has a class, background too, so
# that these are just the pixels of unseen classes, as in ldvc_context60_transductive.py.
_base_ = "./ldvc_context60_transductive.py"
model = dict(pseudo_labels="all_unlabelled")
