"""Settings of the networks."""

import dataclasses

from stylegan_jax.config.setting import (
    FILTER,
    FILTER_OR_NONE,
    NON_NEGATIVE,
    POSITIVE,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Model:
    """The generator and the discriminator; the defaults are StyleGAN's for FFHQ."""

    family: str = setting(
        "stylegan1",
        "Family of the networks; `stylegan3` has StyleGAN2's discriminator.",
        choices=("stylegan1", "stylegan2", "stylegan3"),
    )
    z_dim: int = setting(512, "Dimension of the latent z.", rule=POSITIVE)
    w_dim: int = setting(512, "Dimension of the latent w.", rule=POSITIVE)
    mapping_layers: int = setting(
        8,
        "Number of layers of the mapping network; 0 uses the normalized z as w.",
        rule=NON_NEGATIVE,
    )
    mapping_features: int = setting(
        512, "Width of the hidden layers of the mapping network.", rule=POSITIVE
    )
    mapping_lr_multiplier: float = setting(
        0.01,
        "Learning-rate multiplier of the mapping network (equalized learning rate).",
        rule=POSITIVE,
    )
    channel_base: int = setting(
        8192,
        "Base of the number of channels at resolution R, which `channel_max` limits: 2 "
        "* base / R for stylegan1, base / R for stylegan2, as in the official code, "
        "and for stylegan3, where R is twice the cutoff frequency of a layer.",
        rule=POSITIVE,
    )
    channel_max: int = setting(
        512, "Maximum number of channels of any layer.", rule=POSITIVE
    )
    nonlinearity: str = setting(
        "lrelu",
        "Activation function; `lrelu` has slope 0.2. stylegan3 always uses `lrelu`.",
        choices=("lrelu", "relu"),
    )
    noise: bool = setting(
        True,
        "Add noise inputs after the generator's convolutions (not for stylegan3).",
    )
    mbstd_group_size: int = setting(
        4,
        "Group size of the minibatch standard deviation; 1 turns it off.",
        unit="images",
        rule=POSITIVE,
    )
    mbstd_features: int = setting(
        1, "Number of feature maps of the minibatch standard deviation.", rule=POSITIVE
    )
    dtype: str = setting(
        "float32",
        "Data type of the activations; parameters always stay in float32.",
        choices=("float32", "bfloat16"),
    )
    low_precision_resolutions: int = setting(
        4,
        "Number of the highest resolutions whose activations have `dtype`; all others "
        "are float32. 4x4 is always float32 in stylegan2.",
        rule=NON_NEGATIVE,
    )
    float32_precision: str = setting(
        "highest",
        "Precision of matrix products and convolutions in float32: `highest` is "
        "float32; `high` is TF32 on NVIDIA GPUs and three bfloat16 passes on TPUs; "
        "`default` is TF32 and a single pass, respectively. CPUs always compute in "
        "float32.",
        choices=("highest", "high", "default"),
    )
    remat: str = setting(
        "none",
        "Activations to recompute in the backward pass: `none`; all but the outputs of "
        "convolutions (`convolutions`); all but the inputs of blocks (`blocks`). Saves "
        "memory and costs time.",
        choices=("none", "convolutions", "blocks"),
    )
    # Growing networks.
    blur_filter: tuple[int, ...] = setting(
        (1, 2, 1),
        "Blur after upsampling and before downsampling in growing networks; () turns "
        "it off.",
        rule=FILTER_OR_NONE,
    )
    # The steps of the StyleGAN paper's Table 1 (B: all off but pixel_norm).
    styles: bool = setting(
        True, "Modulate the features of each layer by styles, AdaIN (stylegan1)."
    )
    const_input: bool = setting(
        True, "Start the synthesis from a learned constant, not from w (stylegan1)."
    )
    instance_norm: bool = setting(
        True, "Apply instance normalization in the generator (stylegan1)."
    )
    pixel_norm: bool = setting(
        False, "Apply pixelwise feature normalization in the generator (stylegan1)."
    )
    # StyleGAN2.
    g_architecture: str = setting(
        "growing",
        "Architecture of the generator; `growing` is progressive growing, which pairs "
        "it with StyleGAN's discriminator. stylegan3 never grows and ignores it.",
        choices=("growing", "skip", "resnet", "orig"),
    )
    d_architecture: str = setting(
        "growing",
        "Architecture of the discriminator; `growing` if and only if the generator's "
        "is.",
        choices=("growing", "resnet", "skip", "orig"),
    )
    resample_filter: tuple[int, ...] = setting(
        (1, 3, 3, 1),
        "Filter for up- and downsampling (stylegan2, and stylegan3's discriminator).",
        rule=FILTER,
    )
    conv_clamp: float | None = setting(
        None,
        "Clamp activations to [-conv_clamp, conv_clamp]; 256 for low precision; None: "
        "no clamping (not for stylegan1).",
        rule=NON_NEGATIVE,
    )
    d_mapping_layers: int = setting(
        8,
        "Number of layers of the discriminator's mapping network, which embeds the "
        "labels (not for growing networks).",
        rule=NON_NEGATIVE,
    )
    spectral_norm: bool = setting(
        False,
        "Divide each weight of the discriminator by its largest singular value (not "
        "for growing networks); stabilizes training, e.g. with the hinge loss.",
    )
    freeze_layers: int = setting(
        0,
        "Number of layers of the discriminator that are not trained, counted from its "
        "input (Freeze-D; not for growing networks).",
        rule=NON_NEGATIVE,
    )

    d_channel_base: int | None = setting(
        None,
        "The `channel_base` of the discriminator (not for growing networks); None: "
        "the same.",
        rule=POSITIVE,
    )
    d_channel_max: int | None = setting(
        None,
        "The `channel_max` of the discriminator (not for growing networks); None: "
        "the same.",
        rule=POSITIVE,
    )
    # StyleGAN3's generator; config R has 1x1 kernels and radial filters.
    num_layers: int = setting(
        14, "Number of layers before ToRGB (stylegan3).", rule=POSITIVE
    )
    num_critical: int = setting(
        2,
        "Number of the last layers that are critically sampled (stylegan3).",
        rule=NON_NEGATIVE,
    )
    conv_kernel: int = setting(
        3, "Width of the convolution kernels (stylegan3).", choices=(1, 3)
    )
    use_radial_filters: bool = setting(
        False,
        "Downsample with radially symmetric filters where layers are not critically "
        "sampled (stylegan3).",
    )
    filter_size: int = setting(
        6,
        "Taps of the filters per pixel of the coarser grid (stylegan3).",
        rule=POSITIVE,
    )
    lrelu_upsampling: int = setting(
        2,
        "Upsampling factor around the nonlinearity (stylegan3).",
        rule=POSITIVE,
    )
    margin_size: int = setting(
        10,
        "Width of the margin around the image inside the network (stylegan3).",
        unit="pixels",
        rule=NON_NEGATIVE,
    )
    first_cutoff: float = setting(
        2.0,
        "Cutoff frequency of the first layer (stylegan3).",
        unit="cycles per image",
        rule=POSITIVE,
    )
    first_stopband: float = setting(
        2**2.1,
        "Minimum stopband frequency of the first layer (stylegan3).",
        unit="cycles per image",
        rule=POSITIVE,
    )
    last_stopband_rel: float = setting(
        2**0.3,
        "Minimum stopband frequency of the last layers, as a multiple of their cutoff "
        "(stylegan3).",
        rule=POSITIVE,
    )
    output_scale: float = setting(
        0.25, "Factor that scales the generator's output (stylegan3).", rule=POSITIVE
    )

    @property
    def growing(self) -> bool:
        """True for networks with progressive growing."""
        return self.g_architecture == "growing" and self.family != "stylegan3"
