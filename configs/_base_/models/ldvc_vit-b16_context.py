# For PASCAL Context: 35 prompts, as a fork's and Cascade-CLIP's configs have (ZegCLIP's own
# was never published). One template, as for COCO-Stuff.
_base_ = "./ldvc_vit-b16.py"
model = dict(image_encoder=dict(num_prompts=35))
