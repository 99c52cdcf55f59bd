# For models trained on COCO-Stuff: more prompts in the image encoder, as in ZegCLIP (inferred). The
# language prompts stand in one template's words, so there is one template (inferred).
_base_ = "./ldvc_vit-b16.py"
model = dict(image_encoder=dict(num_prompts=100))
