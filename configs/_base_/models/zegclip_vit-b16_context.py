# For PASCAL Context: 35 prompts, as a fork's and Cascade-CLIP's configs have (ZegCLIP's own
# was never published). Class embeddings are the mean of 15 templates.
_base_ = "./zegclip_vit-b16.py"
model = dict(
    image_encoder=dict(num_prompts=35),
    text_encoder=dict(templates="multi15"),
)
