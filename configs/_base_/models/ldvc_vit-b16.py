# LDVC: prompts in both encoders; visual features are moved toward the class embeddings. There is
# no public code: what is marked "inferred" is our choice, not the paper's word.
_base_ = "./zegclip_vit-b16.py"
model = dict(
    image_encoder=dict(patch_level=None),  # patches of the last block (inferred)
    text_encoder=dict(
        type="PromptedTextEncoder",
        templates="single",
        num_prompts=4,  # in the place of "a photo of a" (inferred)
        prompt_depth=None,  # every layer
        prompt_init="template",
        checkpoint_activations=False,
    ),
    decode_head=dict(
        type="ConsensusHead",
        # Depth, widths, dropout, loss, gamma as in ZegCLIP (inferred).
        decoder=dict(
            regions_per_side=8,  # p: 4x4 tokens per region at 32x32 (inferred)
            topk=16,  # k of 64 regions (inferred)
            routing="detached",
            local_kernel=0,
            local_consensus=True,  # False: the paper's ablation
            order=("local_consensus", "cross_attention", "feed_forward"),  # inferred
            masks="attention",
        ),
    ),
)
