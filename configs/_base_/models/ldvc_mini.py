# LDVC on the tiny CLIP of the mini benchmark: regions of 4x4 tokens as at 32x32, a quarter of them
# attended to.
_base_ = "./zegclip_mini.py"
model = dict(
    text_encoder=dict(
        type="PromptedTextEncoder", templates="single", num_prompts=4, prompt_init="template"
    ),
    decode_head=dict(
        type="ConsensusHead",
        decoder=dict(regions_per_side=4, topk=4, routing="detached", local_consensus=True),
    ),
)
