"""The typed schema of an experiment: every setting, its default and unit."""

import dataclasses
from typing import Any

BY_RESOLUTION_HELP = "pairs (resolution, value), e.g. ((8, 256), (16, 128))"
ByResolution = tuple[tuple[int, float], ...]


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the real images come from."""

    # One of data.sources.SOURCES: builtin | tfds | folder | zip | prepared | tfrecords
    source: str = "builtin"
    # folder: directory of images, searched recursively; zip: of images; prepared:
    # directory that `python -m stylegan_jax.prepare` made; tfrecords: directory with
    # NVIDIA's multi-resolution files
    path: str | None = None
    tfds_name: str | None = None  # tfds: e.g. "cifar10" or "lsun/bedroom"
    tfds_split: str = "train"
    tfds_data_dir: str | None = None  # tfds: None means ~/tensorflow_datasets
    tfds_download: bool = True  # False: use only what is already prepared
    resolution: int = 1024  # pixels; also the full resolution of the networks
    # Height and width at resolution 4, stylegan2 only: with (4, 8), resolution 512
    # means images of 512 x 1024.
    base_size: tuple[int, int] = (4, 4)
    channels: int = 3  # 1 grayscale, 3 RGB, 4 RGBA
    fit: str = "exact"  # other sizes: "exact" refuses, "crop" crops and resizes
    conditional: bool = False  # feed class labels to the networks
    mirror: bool = False  # flip half of the real images left-right
    prefetch_batches: int = 4  # batches decoded ahead of the step


@dataclasses.dataclass(frozen=True)
class Model:
    """Generator and discriminator; the defaults are StyleGAN's for FFHQ."""

    family: str = "stylegan1"  # stylegan1 | stylegan2
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8  # 0 passes the normalised z on as w
    mapping_features: int = 512
    mapping_lr_multiplier: float = 0.01
    # Channels at resolution R, as officially: stylegan1 2 * base / R, stylegan2
    # base / R ...
    channel_base: int = 8192
    channel_max: int = 512  # ... but at most this
    nonlinearity: str = "lrelu"
    noise: bool = True
    mbstd_group_size: int = 4  # samples; 1 turns minibatch stddev off
    mbstd_features: int = 1
    dtype: str = "float32"  # activations only; parameters stay float32
    # Activations that are kept for the gradients: all, those of convolutions, or what
    # enters each block; the rest is computed again. Less memory, more time.
    remat: str = "none"  # none | convolutions | blocks
    # Growing networks.
    blur_filter: tuple[int, ...] = (1, 2, 1)  # () turns blurring off
    # The steps of the StyleGAN paper's Table 1 (B = all off, pixel_norm on).
    styles: bool = True
    const_input: bool = True
    instance_norm: bool = True
    pixel_norm: bool = False
    # StyleGAN2. "growing" generators grow with StyleGAN's discriminator.
    g_architecture: str = "growing"  # growing | skip | resnet | orig
    d_architecture: str = "growing"  # growing | resnet | skip | orig
    resample_filter: tuple[int, ...] = (1, 3, 3, 1)
    conv_clamp: float | None = None  # bound of activations; 256 for low precision
    low_precision_resolutions: int = 4  # as many of the highest are in `dtype`
    d_mapping_layers: int = 8  # of the discriminator's labels
    freeze_layers: int = 0  # of the discriminator, from its input on (FreezeD)

    @property
    def growing(self) -> bool:
        """Whether training starts small and adds resolutions."""
        return self.g_architecture == "growing"


@dataclasses.dataclass(frozen=True)
class Training:
    """Objective, optimizer and growth schedule; counted in images, globally."""

    total_kimg: float = 25000.0  # thousands of real images shown
    initial_resolution: int = 8  # growing networks only, as the next two
    stage_kimg: float = 600.0  # at full strength, per resolution
    fade_kimg: float = 600.0  # fading a resolution in
    batch_size: int = 32  # global, over all devices
    batch_size_by_resolution: ByResolution = ()
    learning_rate: float = 0.001
    learning_rate_by_resolution: ByResolution = ()
    learning_rate_rampup_kimg: float = 0.0
    # Beside `learning_rate`; by resolution, in their ratio. None: the generator's.
    discriminator_learning_rate: float | None = None
    # Parts of a batch, one after the other; None: as few as fit the devices' memory,
    # for each stage. Random numbers and groups of minibatch stddev depend on them.
    accumulation_rounds: int | None = 1
    steps_per_round: int = 4  # steps between two looks at the schedule
    adam_beta1: float = 0.0
    adam_beta2: float = 0.99
    adam_epsilon: float = 1e-8
    loss: str = "logistic"  # logistic | wgan | hinge
    r1_gamma: float = 10.0  # weight of the gradient penalty on reals; logistic only
    r2_gamma: float = 0.0  # the same on fakes
    d_reg_interval: int = 0  # 0: R1 in every update of D; k: lazily, every k-th step
    path_length_weight: float = 0.0  # 2 in StyleGAN2; needs g_reg_interval
    path_length_decay: float = 0.01  # of the moving average of lengths
    path_length_batch_shrink: int = 2  # it takes this fraction of the batch
    g_reg_interval: int = 0  # path length is regularised every k-th step
    gp_weight: float = 10.0  # gradient penalty between reals and fakes; wgan, hinge
    gp_target: float = 1.0  # gradient norm that the penalty pulls to
    drift_weight: float = 0.001  # on squared scores of reals; wgan only
    style_mixing_probability: float = 0.9
    # What the discriminator sees is augmented at random, each letter a group: b pixel
    # blitting, g geometry, c colour, f filters, n noise, c cutout.
    augment: str = "none"  # none | b | bg | bgc | bgcf | bgcfn | bgcfnc
    # Of each transform; fixed. StyleGAN2-ADA's control of it is not there yet.
    augment_probability: float = 0.0
    w_avg_beta: float = 0.995  # decay of the moving average of w, per generator call
    ema_half_life_kimg: float = 10.0  # of the averaged generator ...
    ema_rampup: float = 0.0  # ... at most this share of the images seen; 0: no limit
    nonfinite_limit: int = 20  # skipped updates in a row before the run stops
    # --workdir of a run, or --out of a conversion, whose networks a new run starts
    # from; `.../checkpoints/NUMBER` takes that one and not the newest.
    transfer: str | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """Seed, cadence and outputs.

    Nothing here changes what is learned but `seed`, and `device_memory_gib` where
    `training.accumulation_rounds` is None.
    """

    seed: int = 0
    # Of one start, compilation included: then the run saves and ends, as at a signal,
    # and the same command goes on from there. 0: no limit.
    time_limit_minutes: float = 0.0
    tick_kimg: float = 40.0  # one line, one image grid
    tick_kimg_by_resolution: ByResolution = ()
    checkpoint_every_ticks: int = 5
    keep_checkpoints: int = 3
    grid_rows: int = 4
    grid_columns: int = 8
    grid_truncation_psi: float = 1.0
    # Directory of compiled programs; None leaves it to JAX's own settings, of which
    # JAX_ENABLE_COMPILATION_CACHE=0 turns any cache off.
    compilation_cache: str | None = "~/.cache/stylegan_jax/xla"
    # Growing networks: a resolution's stable stage runs the programs of its fading one,
    # with a fade of 1. Less to compile, for short runs; a little more to compute.
    share_programs: bool = False
    # Many devices and processes.
    shard_optimizer: bool = False  # moments and averaged generator, over all devices
    # Devices that share the rows of an image, from this resolution of the layers on;
    # for batches that are smaller than the number of devices.
    height_devices: int = 1
    height_min_resolution: int = 256
    # Memory of each device that training may take; None: what the device reports. Where
    # it is known, programs that exceed it are told of before they run.
    device_memory_gib: float | None = None
    heartbeat_seconds: int = 60  # a process silent for so long is taken for dead
    hang_report_seconds: float = 300.0  # a round, compilation... as long is reported


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics that are taken of the averaged generator while it is trained."""

    # Names, comma-separated, as `stylegan_jax.evaluate` has them; "" takes none.
    metrics: str = ""
    every_kimg: float = 200.0  # at the end of the tick in which so many more were seen
    images: int | None = None  # generated for each; None: as many as the metric's own
    features: str = "inception"  # network of features, as `evaluate --features` has it
    detector: str | None = None  # file of its weights; None: found, or downloaded
    vgg16: str | None = None  # file of VGG16's weights, for LPIPS; likewise
    batch_size: int = 32  # images at once, over all devices
    cache: str | None = "~/.cache/stylegan_jax/metrics"  # of real images' statistics
    # The checkpoints in which this number was best are kept beside the newest.
    best: str | None = None  # e.g. "fid50k" or "recall"
    keep_best: int = 1
    # Signs of collapse, told in the progress line ...
    alarm_msssim: float = 0.15  # "msssim" so far above that of the reals
    alarm_recall: float = 0.02  # "recall" below this


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that defines one run."""

    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    run: Run = Run()
    evaluation: Evaluation = Evaluation()


def is_resolution(value: int) -> bool:
    """Whether `value` is a side length that the networks can have."""
    return 4 <= value <= 1024 and value & (value - 1) == 0


def by_resolution(pairs: ByResolution, resolution: int, default: float) -> float:
    """The value that holds at `resolution`: its own entry, else `default`."""
    return dict(pairs).get(resolution, default)


def image_size(base_size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Height and width in pixels at a resolution; `base_size` is that at 4."""
    return base_size[0] * resolution // 4, base_size[1] * resolution // 4


def settings(e: Experiment) -> list[tuple[str, Any]]:
    """All settings as ("section.field", value)."""
    return [
        (f"{section.name}.{field.name}", getattr(getattr(e, section.name), field.name))
        for section in dataclasses.fields(e)
        for field in dataclasses.fields(getattr(e, section.name))
    ]
