"""docs/architectures.md: which timm families take which sizes, each row from a fresh probe.

python -m lab.train.model_facts --table
"""

from __future__ import annotations

import timm

from lab.train.model_facts import Probe, probe

FAMILIES = [
    "resnet18",
    "resnetv2_50",
    "resnext50_32x4d",
    "res2net50_26w_4s",
    "skresnet18",
    "regnetx_002",
    "regnety_004",
    "convnext_atto",
    "convnextv2_atto",
    "efficientnet_b0",
    "tf_efficientnetv2_b0",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "lcnet_050",
    "ghostnet_100",
    "repvgg_a0",
    "mobileone_s0",
    "densenet121",
    "vgg11",
    "inception_v3",
    "dla34",
    "hrnet_w18_small",
    "nfnet_f0",
    "mobilevit_xxs",
    "mobilevitv2_050",
    "edgenext_xx_small",
    "fastvit_t8",
    "efficientvit_b0",
    "pvt_v2_b0",
    "davit_tiny",
    "focalnet_tiny_srf",
    "poolformer_s12",
    "caformer_s18",
    "xcit_nano_12_p16_224",
    "mvitv2_tiny",
    "twins_svt_small",
    "crossvit_9_240",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "beit_base_patch16_224",
    "eva02_tiny_patch14_224",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "maxvit_tiny_tf_224",
    "coatnet_0_rw_224",
    "cait_xxs24_224",
    "pit_ti_224",
    "volo_d1_224",
    "mixer_s32_224",
    "resmlp_12_224",
    "gmlp_ti16_224",
    "hiera_tiny_224",
    "gcvit_xxtiny",
    "levit_128s",
    "convit_tiny",
    "tnt_s_legacy_patch16_224",
    "nest_tiny",
    "visformer_tiny",
    "botnet26t_256",
    "coat_lite_tiny",
    "efficientformerv2_s0",
    "efficientformer_l1",
    "halonet26t",
    "test_resnet",
    "test_convnext",
    "test_vit",
]
TOKENS_MIXED = ("mixer", "resmlp", "gmlp")
COMMAND = "python -m lab.train.model_facts --table"
WORDS = {"any": "any size", "set": "`set_input_size`", "build": "`img_size`", "fixed": "fixed"}
HEAD = f"""# Architectures and their sizes

Found by forward passes without memory (torch's meta device) with timm {{version}}; written by
`{COMMAND}`.

- **any size**: a convolutional network or one with relative positions; nothing changes.
- **`set_input_size`**: timm resamples position embeddings or bias tables in place; the lab makes a
  new optimizer where parameters were replaced.
- **`img_size`**: the size is an argument of the constructor. The lab builds the network anew at
  each size and carries the weights over; what belongs to the size goes through timm's bicubic
  resampling.
- **fixed**: one size only; the check refuses others.

*Smallest* is the smallest of 16, 24, 32, 48, 64, 96, 128 px that goes through; *step*: height and
width that are no multiples of it lose edge pixels without a word, or are refused. *Groups* is the
most parameter groups: the finest layers of the body, and the head. Networks of the same family
with another patch, window or native size differ in step and smallest size: the lab probes the one
that a recipe names.

| architecture | parameters (M) | takes | native px | smallest px | step px | groups | notes |
|---|---|---|---|---|---|---|---|
"""


def table() -> str:
    """The whole document; about a minute."""
    rows = "\n".join(row(probe(name)) for name in FAMILIES)
    return HEAD.replace("{version}", timm.__version__) + rows + "\n"


def row(found: Probe) -> str:
    """One line of the table."""
    facts = found.facts
    cells = (
        f"`{facts.name}`",
        f"{facts.params / 1e6:.1f}",
        WORDS[facts.sizes],
        f"{facts.native_px}",
        f"{facts.min_px}",
        f"{facts.step_px}",
        f"{facts.groups}",
        "; ".join(notes(found)),
    )
    return "| " + " | ".join(cells) + " |"


def notes(found: Probe) -> list[str]:
    """What to know before choosing it."""
    said = []
    if found.resizes_inside:
        said.append("resizes inside: small pictures save no time")
    if found.squares_only and found.facts.sizes != "fixed":
        said.append("squares only")
    if found.facts.sizes == "build" and found.facts.name.startswith(TOKENS_MIXED):
        said.append("layers over tokens are resampled like positions, the lab's own way")
    if not found.facts.has_norm_before_pool:
        said.append("no norm: FixRes trains the classifier alone")
    elif found.adapts_nothing:
        said.append("last norm keeps no statistics")
    return said
