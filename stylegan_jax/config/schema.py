"""The settings of an experiment: default, unit, allowed values and documentation."""

import dataclasses

from stylegan_jax.config.setting import (
    AT_LEAST_ONE_IMAGE,
    BASE_SIZE,
    BY_RESOLUTION,
    DECAY,
    FILTER,
    FILTER_OR_NONE,
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    RELATIVE_STDS,
    RESOLUTION,
    SEED,
    WHOLE_BY_RESOLUTION,
    ByResolution,
    setting,
)

# DiffAugment's choices of `training.augment`.
DIFFAUGMENT = (
    *("color", "translation", "cutout", "color,translation", "color,cutout"),
    *("translation,cutout", "color,translation,cutout"),
)
ALL_RESOLUTIONS = 9  # number of resolutions of the largest networks, 4 to 1024


@dataclasses.dataclass(frozen=True)
class Data:
    """The real images: their source, geometry and labels."""

    source: str = setting(
        "auto",
        "Kind of the data set: `auto` finds it from `path` and, without one, is "
        "`builtin` (or `tfds` with `tfds_name`). Otherwise a key of "
        "`data.sources.SOURCES`: `builtin` (images of the package), `tfds` "
        "(TensorFlow Datasets), `folder` (a directory of images, searched "
        "recursively), `zip` (a zip file of images), `prepared` (a directory written "
        "by `python -m stylegan_jax.prepare`) or `tfrecords` (a directory of NVIDIA's "
        "multi-resolution files).",
    )
    builtin: str = setting(
        "emoji",
        "Images of `builtin`: `emoji` (1,631 of Noto Emoji), `smileys` (428 of four "
        "fonts), or of these the nine tenths `smileys_training` and the rest "
        "`smileys_held_out`.",
        choices=("emoji", "smileys", "smileys_training", "smileys_held_out"),
    )
    builtin_classes: str = setting(
        "folder",
        "Classes of the built-in images: `folder` (the group of an emoji, the font of "
        "a smiley) or `expression` (of a smiley, such as grinning-face).",
        choices=("folder", "expression"),
    )
    path: str | None = setting(
        None, "File or directory of the images; refused by `builtin` and `tfds`."
    )
    tfds_name: str | None = setting(
        None, "Name in TensorFlow Datasets, e.g. `cifar10` or `lsun/bedroom`."
    )
    tfds_split: str = setting("train", "Split of the TFDS data set.")
    tfds_data_dir: str | None = setting(
        None, "Directory of TFDS; None: `~/tensorflow_datasets`."
    )
    tfds_download: bool = setting(
        True,
        "Download and prepare a missing TFDS data set; False: fail if it is missing.",
    )
    resolution: int = setting(
        1024,
        "Resolution of the images and the full resolution of the networks.",
        unit="pixels",
        rule=RESOLUTION,
    )
    base_size: tuple[int, int] = setting(
        (4, 4),
        "Height and width of the images at resolution 4 (stylegan2 only): with (4, 8), "
        "resolution 512 means images that are 1024 wide and 512 high.",
        unit="pixels",
        rule=BASE_SIZE,
    )
    channels: int = setting(3, "1: grayscale, 3: RGB, 4: RGBA.", choices=(1, 3, 4))
    fit: str = setting(
        "exact",
        "Treatment of images of other sizes: `exact` refuses them, `crop` crops the "
        "center and resizes it.",
        choices=("exact", "crop"),
    )
    conditional: bool = setting(False, "Condition both networks on the class labels.")
    mirror: bool = setting(False, "Flip each real image horizontally at random.")
    held_out: float = setting(
        0.0,
        "Share of the images that is held out from training, chosen at random; the "
        "log then tells how far the discriminator overfits.",
        rule=DECAY,
    )
    cache: str = setting(
        "auto",
        "Place where decoded images stay, so that each is decoded once per stage: "
        "`device` (the memory of the devices, which share the images), `host` (the "
        "memory of every process) or `none`. `auto` keeps up to 2 GiB, on the devices "
        "if that is at most a tenth of their memory, else on the host; on CPUs it is "
        "`host`. The images and their order are the same.",
        choices=("auto", "device", "host", "none"),
    )
    prefetch_batches: int = setting(
        4,
        "Number of batches that are decoded ahead of the training step, without a "
        "cache.",
        rule=POSITIVE,
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
        "Number of channels at resolution R before the limit `channel_max`: 2 * base / "
        "R for stylegan1, base / R for stylegan2, as in the official code, and for "
        "stylegan3, where R is twice the cutoff frequency of a layer.",
        rule=POSITIVE,
    )
    channel_max: int = setting(
        512, "Maximum number of channels of any layer.", rule=POSITIVE
    )
    nonlinearity: str = setting(
        "lrelu",
        "Activation function; `lrelu` has slope 0.2, and is stylegan3's.",
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
        "Precision of the networks' products of float32: `highest` is float32, `high` "
        "TF32 on NVIDIA GPUs and three passes of bfloat16 on TPUs, `default` TF32 and "
        "one pass. CPUs always compute in float32.",
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
        "for growing networks); stabilizes it, as with the hinge loss.",
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
        "Factor by which the sampling rate is higher for the nonlinearity (stylegan3).",
        rule=POSITIVE,
    )
    margin_size: int = setting(
        10,
        "Width of the margin around the image within the network (stylegan3).",
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
        0.25, "Factor of the generator's last result (stylegan3).", rule=POSITIVE
    )

    @property
    def growing(self) -> bool:
        """True for networks that start small and add resolutions while training."""
        return self.g_architecture == "growing" and self.family != "stylegan3"


@dataclasses.dataclass(frozen=True)
class Training:
    """The objective, the optimizer and the schedule; images count over all devices."""

    total_kimg: float = setting(
        25000.0,
        "Length of the training.",
        unit="thousands of real images",
        rule=AT_LEAST_ONE_IMAGE,
    )
    initial_resolution: int = setting(
        8,
        "Resolution at which growing networks start.",
        unit="pixels",
        rule=RESOLUTION,
    )
    stage_kimg: float = setting(
        600.0,
        "Length of the stable stage of each resolution of growing networks.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    fade_kimg: float = setting(
        600.0,
        "Length of the stage that fades in each new resolution of growing networks.",
        unit="thousands of real images",
        rule=NON_NEGATIVE,
    )
    batch_size: int = setting(
        32, "Global batch size, over all devices.", unit="images", rule=POSITIVE
    )
    batch_size_by_resolution: ByResolution = setting(
        (),
        "Batch sizes of single resolutions, in place of `batch_size`.",
        unit="images",
        rule=WHOLE_BY_RESOLUTION,
    )
    learning_rate: float = setting(
        0.001, "Learning rate of both networks.", rule=POSITIVE
    )
    learning_rate_by_resolution: ByResolution = setting(
        (),
        "Learning rates of single resolutions, in place of `learning_rate`.",
        rule=BY_RESOLUTION,
    )
    learning_rate_rampup_kimg: float = setting(
        0.0,
        "Length of the linear warm-up of the learning rate.",
        unit="thousands of real images",
        rule=NON_NEGATIVE,
    )
    discriminator_learning_rate: float | None = setting(
        None,
        "Learning rate of the discriminator, which scales with "
        "`learning_rate_by_resolution`; None: that of the generator.",
        rule=POSITIVE,
    )
    accumulation_rounds: int | None = setting(
        1,
        "Number of parts of a batch whose gradients are accumulated one after the "
        "other; None: the fewest that fit into the memory of the devices, chosen for "
        "each stage. Random numbers and minibatch groups depend on it.",
        rule=POSITIVE,
    )
    steps_per_round: int = setting(
        4,
        "Number of training steps between two updates of the schedule.",
        rule=POSITIVE,
    )
    adam_beta1: float = setting(
        0.0, "Adam's decay of the first moment, mu.", rule=DECAY
    )
    adam_beta2: float = setting(
        0.99, "Adam's decay of the second moment, nu.", rule=DECAY
    )
    adam_epsilon: float = setting(1e-8, "Adam's epsilon.", rule=POSITIVE)
    adam_epsilon_placement: str | None = setting(
        None,
        "Place of Adam's epsilon: `tensorflow` adds it to the root of the second "
        "moment before the bias correction, `pytorch` after it. None: as the official "
        "code of the family does.",
        choices=("tensorflow", "pytorch"),
    )
    loss: str = setting(
        "logistic",
        "Adversarial loss: `logistic` (non-saturating), `wgan` (WGAN-GP), `hinge`, or "
        "`relativistic` (of pairs; R3GAN's with `r1_gamma`, `r2_gamma` and a "
        "`d_reg_interval` of 0).",
        choices=("logistic", "wgan", "hinge", "relativistic"),
    )
    r1_gamma: float = setting(
        10.0,
        "Weight of R1, the gradient penalty on real images (logistic and relativistic "
        "loss).",
        rule=NON_NEGATIVE,
    )
    r2_gamma: float = setting(
        0.0,
        "Weight of R2, the gradient penalty on generated images (logistic and "
        "relativistic loss).",
        rule=NON_NEGATIVE,
    )
    d_reg_interval: int = setting(
        0,
        "Interval of the lazy R1 regularization; 0 adds R1 to the loss of every step.",
        unit="steps",
        rule=NON_NEGATIVE,
    )
    path_length_weight: float = setting(
        0.0,
        "Weight of the path length regularization, 2 in StyleGAN2; needs "
        "`g_reg_interval`.",
        rule=NON_NEGATIVE,
    )
    path_length_decay: float = setting(
        0.01, "Update rate of the moving average of path lengths.", rule=FRACTION
    )
    path_length_batch_shrink: int = setting(
        2,
        "Divisor of the batch size in the path length regularization.",
        rule=POSITIVE,
    )
    g_reg_interval: int = setting(
        0,
        "Interval of the lazy path length regularization; 0 turns it off.",
        unit="steps",
        rule=NON_NEGATIVE,
    )
    gp_weight: float = setting(
        10.0,
        "Weight of the gradient penalty between real and generated images (wgan and "
        "hinge loss).",
        rule=NON_NEGATIVE,
    )
    gp_target: float = setting(
        1.0, "Target norm of the gradients, for `gp_weight`.", rule=POSITIVE
    )
    drift_weight: float = setting(
        0.001,
        "Weight of the drift penalty on the squared logits of real images (wgan only).",
        rule=NON_NEGATIVE,
    )
    clip_fakes: bool = setting(
        False,
        "Clip generated images to [-1, 1], as they are saved, before the discriminator "
        "sees them. The generator can then draw exact white and black grounds by "
        "exceeding the range.",
    )
    lecam_weight: float = setting(
        0.0,
        "Weight of the LeCam regularizer, which keeps the discriminator's scores of "
        "reals and fakes together; 3e-7 in its paper's StyleGAN2 on FFHQ.",
        rule=NON_NEGATIVE,
    )
    style_mixing_probability: float = setting(
        0.9, "Probability of style mixing.", rule=FRACTION
    )
    blur_init_sigma: float = setting(
        0.0,
        "Sigma of the blur of everything that the discriminator sees, at the start; 10 "
        "in StyleGAN3's config R; 0: none.",
        unit="pixels",
        rule=NON_NEGATIVE,
    )
    blur_fade_kimg: float = setting(
        200.0,
        "Length over which this blur fades, if there is one.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    augment: str = setting(
        "none",
        "Augmentations of the discriminator's inputs, a letter for each group: b pixel "
        "blitting, g geometry, c color, f image-space filters, n noise, c (the last) "
        "cutout; or those of DiffAugment, by their names; or `pseudo`, which replaces "
        "reals by generated images (APA).",
        choices=(
            *("none", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc", "pseudo"),
            *DIFFAUGMENT,
        ),
    )
    augment_probability: float = setting(
        0.0,
        "Constant probability of each augmentation. 0 adapts the probability to how "
        "much the discriminator overfits (ADA), from 0 on; for DiffAugment, 0 stands "
        "for 1, as in its paper.",
        rule=FRACTION,
    )
    augment_rampup_kimg: float = setting(
        0.0,
        "Length over which a constant probability rises from 0, along half a cosine.",
        unit="thousands of real images",
        rule=NON_NEGATIVE,
    )
    augment_target: float | None = setting(
        None,
        "Mean sign of the scores of real images that the adaptive probability aims at; "
        "None: 0.6.",
        rule=FRACTION,
    )
    augment_speed_kimg: float | None = setting(
        None,
        "Length over which the adaptive probability can rise by 1; None: 500, or 100 "
        "with `training.transfer`.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    augment_p_max: float | None = setting(
        None,
        "Upper bound of the adaptive probability; None: none, as in the official code, "
        "where it can pass 1 and every transform then happens always.",
        rule=FRACTION,
    )
    w_avg_beta: float = setting(
        0.995,
        "Decay of the moving average of w, per call of the generator.",
        rule=FRACTION,
    )
    magnitude_half_life_kimg: float = setting(
        20.0,
        "Half-life of the moving averages of the magnitudes of activations "
        "(stylegan3); they are updated once per accumulation round, as if each had the "
        "whole batch.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    ema_half_life_kimg: float = setting(
        10.0,
        "Half-life of the exponential moving average of the generator.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    ema_rampup: float = setting(
        0.0,
        "Upper bound of `ema_half_life_kimg` as a share of the images seen; 0: none.",
        rule=NON_NEGATIVE,
    )
    power_ema: tuple[float, ...] = setting(
        (),
        "Relative standard deviations of two or more power-function averages of the "
        "generator, such as (0.05, 0.1), from whose snapshots `ema` reconstructs "
        "averages of any length after the training; (): none. A run has them from its "
        "start or not at all.",
        rule=RELATIVE_STDS,
    )
    power_ema_snapshot_kimg: float = setting(
        100.0,
        "Interval of the snapshots of these averages.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    nonfinite_limit: int = setting(
        20,
        "Number of successive updates skipped for non-finite values that stops the "
        "run.",
        rule=POSITIVE,
    )
    on_collapse: str = setting(
        "continue",
        "What follows when the generated images have lost their variety, twice in a "
        "row by `msssim` or `pr` of `evaluation.metrics` or by the images held out "
        "with `data.held_out`: `continue` warns; `stop` ends the run with an error; "
        "`rollback` goes back to the best checkpoint, once, with half the learning "
        "rate, and stops at the next collapse.",
        choices=("continue", "stop", "rollback"),
    )
    transfer: str | None = setting(
        None,
        "The `--workdir` of a run or the `--out` of a conversion whose networks a new "
        "run starts from; `.../checkpoints/NUMBER` names a checkpoint that is not the "
        "newest.",
    )

    @property
    def augment_adapts(self) -> bool:
        """True if the probability of the augmentations adapts to overfitting."""
        unchanging = ("none", *DIFFAUGMENT)
        return not self.augment_probability and self.augment not in unchanging


@dataclasses.dataclass(frozen=True)
class Run:
    """The seed, the cadence and the outputs of a run.

    No setting of this section changes what is learned, except for `seed`, and for
    `device_memory_gib` if `training.accumulation_rounds` is None.
    """

    seed: int = setting(0, "Random seed.", rule=SEED)
    time_limit_minutes: float = setting(
        0.0,
        "Time after which a start, compilation included, saves and exits as on a "
        "signal; the same command resumes the run. 0: no limit.",
        unit="minutes",
        rule=NON_NEGATIVE,
    )
    tick_kimg: float = setting(
        40.0,
        "Length of a tick, which ends with a progress line and, by default, a grid of "
        "samples.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    tick_kimg_by_resolution: ByResolution = setting(
        (),
        "Lengths of the ticks of single resolutions, in place of `tick_kimg`.",
        unit="thousands of real images",
        rule=BY_RESOLUTION,
    )
    checkpoint_every_ticks: int = setting(
        5, "Interval of the checkpoints.", unit="ticks", rule=POSITIVE
    )
    keep_checkpoints: int = setting(
        3, "Number of the newest checkpoints to keep.", rule=POSITIVE
    )
    grid_every_ticks: int = setting(
        1,
        "Interval of the grids of samples; a finished run also has one of its end.",
        unit="ticks",
        rule=POSITIVE,
    )
    grid_rows: int = setting(4, "Number of rows of the grid of samples.", rule=POSITIVE)
    grid_columns: int = setting(
        8, "Number of columns of the grid of samples.", rule=POSITIVE
    )
    grid_truncation_psi: float = setting(1.0, "Truncation psi of the grid of samples.")
    compilation_cache: str | None = setting(
        "~/.cache/stylegan_jax/xla",
        "Directory of compiled programs. With several processes, which must share it, "
        "the default is replaced by `compilation_cache` in the run's directory. None "
        "leaves it to JAX's own settings (`JAX_ENABLE_COMPILATION_CACHE=0` turns "
        "every cache off).",
    )
    share_programs: bool = setting(
        False,
        "Use the program of a resolution's fading stage for its stable stage, too, "
        "with a fade of 1: less to compile, a little more to compute (growing "
        "networks).",
    )
    # Many devices and processes.
    shard_optimizer: bool = setting(
        False,
        "Shard the moments of the optimizer and the averaged generator over all "
        "devices.",
    )
    height_devices: int = setting(
        1,
        "Number of devices that share the rows of an image, for batches smaller than "
        "the number of devices.",
        rule=POSITIVE,
    )
    height_min_resolution: int = setting(
        256,
        "Lowest resolution of the layers whose rows are shared.",
        unit="pixels",
        rule=RESOLUTION,
    )
    device_memory_gib: float | None = setting(
        None,
        "Memory of each device that training may use; None: what the device reports. "
        "Where it is known, programs that exceed it are reported before they run.",
        unit="GiB",
        rule=POSITIVE,
    )
    heartbeat_seconds: int = setting(
        60,
        "Silence after which a process is considered dead.",
        unit="seconds",
        rule=POSITIVE,
    )
    hang_report_seconds: float = setting(
        300.0,
        "Duration after which a round, a compilation, etc. is reported as hanging.",
        unit="seconds",
        rule=POSITIVE,
    )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics of the averaged generator that are computed during training."""

    metrics: str = setting(
        "",
        "Comma-separated names of the metrics, as in `python -m "
        "stylegan_jax.evaluate`; empty: none.",
    )
    every_kimg: float = setting(
        200.0,
        "Interval of the evaluations, which take place at the end of a tick.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    images: int | None = setting(
        None,
        "Number of images to generate for each metric; None: the metric's own number.",
        unit="images",
        rule=POSITIVE,
    )
    features: str = setting(
        "inception", "Feature network, as in `evaluate --features`."
    )
    detector: str | None = setting(
        None,
        "File of the feature network's weights; None: found in the cache, else "
        "downloaded.",
    )
    vgg16: str | None = setting(
        None,
        "File of VGG16's weights, for LPIPS; None: found in the cache, else "
        "downloaded.",
    )
    efficientnet: str | None = setting(
        None,
        "File of EfficientNet-Lite0's weights, for `kid_efficientnet` and "
        "`fd_efficientnet`; None: found in the cache, else in the package that the "
        "extra `metrics` installs.",
    )
    batch_size: int = setting(
        32,
        "Global batch size of the evaluation, over all devices.",
        unit="images",
        rule=POSITIVE,
    )
    cache: str | None = setting(
        "~/.cache/stylegan_jax/metrics",
        "Directory of the cached statistics of real images; None: no cache.",
    )
    best: str | None = setting(
        None,
        "Number by which the best checkpoints are kept beside the newest, e.g. "
        "`fid50k` or `recall`; None keeps the newest only.",
    )
    keep_best: int = setting(1, "Number of best checkpoints to keep.", rule=POSITIVE)
    # Signs of mode collapse, reported in the progress line.
    alarm_msssim: float = setting(
        0.15, "Excess of `msssim` over that of real images that reports a collapse."
    )
    alarm_recall: float = setting(
        0.02, "Value of `recall` below which a collapse is reported.", rule=FRACTION
    )


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All settings of one run."""

    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    run: Run = Run()
    evaluation: Evaluation = Evaluation()


def by_resolution(pairs: ByResolution, resolution: int, default: float) -> float:
    """Return the value for `resolution` if `pairs` has one, else `default`."""
    return dict(pairs).get(resolution, default)


def image_size(base_size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Return the height and width in pixels at `resolution`.

    Args:
      base_size: height and width at resolution 4, `data.base_size`.
      resolution: any resolution of the networks.
    """
    return base_size[0] * resolution // 4, base_size[1] * resolution // 4
