# For models trained on COCO-Stuff: more prompts, and class embeddings as the mean of 15 templates.
_base_ = "./tagclip_vit-b16.py"
model = dict(
    image_encoder=dict(num_prompts=100),
    text_encoder=dict(templates="multi15"),
)
