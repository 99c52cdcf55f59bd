# Self-training on every unlabelled pixel, background and void too: of unseen masks nothing is used.
_base_ = "./tagclip_voc_transductive.py"
model = dict(pseudo_labels="all_unlabelled")
