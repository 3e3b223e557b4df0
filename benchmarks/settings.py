"""Two sizes for speed comparisons with the official PyTorch code on a CPU.

`--config=benchmarks/settings.py:S`, or M. S1 and M1 are StyleGAN networks with the same
channels; `--resolution` selects the stage.
"""

from stylegan_jax import presets


def get_config(name="S"):
    """Return the config of S, M, S1 or M1."""
    if name not in ("S", "M", "S1", "M1"):
        raise ValueError(f"the setting (={name!r}) must be S, M, S1 or M1")
    resolution, layers, batch = {"S": (32, 2, 16), "M": (64, 8, 8)}[name[0]]
    c = presets.auto(resolution)
    c.model.channel_base = 4096
    c.model.channel_max = 128
    c.model.mapping_layers = layers
    c.training.batch_size = batch
    if name[1:] == "1":
        c.model.family = "stylegan1"
        c.model.g_architecture = c.model.d_architecture = "growing"
        c.model.channel_base = 2048
        c.model.conv_clamp = None
        c.training.initial_resolution = 4
        c.training.path_length_weight = 0.0
    return c
