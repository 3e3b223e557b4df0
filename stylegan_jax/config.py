"""The typed schema of an experiment, and the one place where it is checked.

A file in `configs/` returns `config.base()` with some fields changed; the command
line may change more (`--config.training.total_kimg=100`). `config.parse` turns the
result into a frozen, validated `Experiment`, which is all the rest of the code sees.
"""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterator
from typing import Any

from etils import epath
from ml_collections import ConfigDict, config_dict

BY_RESOLUTION_HELP = "pairs (resolution, value), e.g. ((8, 256), (16, 128))"
ByResolution = tuple[tuple[int, float], ...]


class ConfigError(ValueError):
    """The configuration is not usable; the message lists every problem at once."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the real images come from."""

    source: str = "builtin"  # builtin | tfds | folder | zip | prepared
    # folder: directory of images, searched recursively; zip: of images; prepared:
    # directory that `python -m stylegan_jax.prepare` made
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
    discriminator_learning_rate: float | None = None  # None: the generator's
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
    """Seed, cadence and outputs; nothing here changes what is learned but `seed`."""

    seed: int = 0
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
class Experiment:
    """Everything that defines one run."""

    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    run: Run = Run()


def base() -> ConfigDict:
    """The default experiment as a ConfigDict, for a config file to change."""
    return _to_config_dict(Experiment())


def parse(config: ConfigDict | dict[str, Any]) -> Experiment:
    """Turns a configuration into a validated, read-only experiment.

    Args:
      config: what `get_config()` returned, or a dict read from `config.json`.

    Returns:
      The experiment.

    Raises:
      ConfigError: unknown keys, wrong types or values that do not fit together;
        the message lists all of them.
    """
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    problems: list[str] = []
    experiment = _build(Experiment, config, "", problems)
    if not problems:
        problems = validate(experiment)
    if problems:
        raise ConfigError(
            "The configuration cannot be used:\n  " + "\n  ".join(problems)
        )
    return experiment


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested plain dicts, tuples as lists (as JSON has them)."""
    return json.loads(json.dumps(dataclasses.asdict(experiment)))


def load(path: epath.PathLike) -> Experiment:
    """Reads and validates a `config.json` written by a run."""
    return parse(json.loads(epath.Path(path).read_text()))


def image_size(base_size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Height and width in pixels at a resolution; `base_size` is that at 4."""
    return base_size[0] * resolution // 4, base_size[1] * resolution // 4


def unknown_key(name: str, allowed: typing.Iterable[str]) -> str:
    """An error text for an unknown config key that names the closest valid ones."""
    *parents, leaf = name.split(".")
    allowed = list(allowed)
    close = difflib.get_close_matches(leaf, allowed, n=1, cutoff=0.5)
    guess = f"; did you mean `{'.'.join([*parents, close[0]])}`?" if close else ""
    return f"unknown config key `{name}`{guess} (allowed here: {', '.join(allowed)})"


def validate(e: Experiment) -> list[str]:
    """All problems of an experiment whose types are right; empty when it is fine.

    Values that are wrong by themselves are reported first, then, when there are none,
    those that do not fit together.
    """
    return list(_wrong_values(e)) or list(_misfits(e))


def _wrong_values(e: Experiment) -> Iterator[str]:
    """What is wrong with single settings."""
    for name, value in _settings(e):
        if value is None:
            continue
        if name in _CHOICES and value not in _CHOICES[name]:
            yield f"`{name}` (={value!r}) must be one of {_CHOICES[name]}"
        if isinstance(value, float) and not math.isfinite(value):
            yield f"`{name}` (={value}) must be finite"
        elif name in _POSITIVE and value <= 0:
            yield f"`{name}` (={value}) must be positive"
        elif name in _NON_NEGATIVE and value < 0:
            yield f"`{name}` (={value}) must not be negative"
        elif name in _FRACTIONS and not 0 <= value <= 1:
            yield f"`{name}` (={value}) must lie in [0, 1]"
        elif name in _BELOW_ONE and not 0 <= value < 1:
            yield f"`{name}` (={value}) must be at least 0 and below 1"
        if name.endswith("_by_resolution"):
            yield from _wrong_pairs(name, value)
    for name in (
        "data.resolution",
        "training.initial_resolution",
        "run.height_min_resolution",
    ):
        value = dict(_settings(e))[name]
        if not is_resolution(value):
            yield f"`{name}` (={value}) must be a power of two from 4 to 1024"
    if e.run.seed >= 2**32:
        yield f"`run.seed` (={e.run.seed}) must be below 2^32"
    if e.training.total_kimg * 1000 < 1:
        yield f"`training.total_kimg` (={e.training.total_kimg}) is less than an image"
    taps = e.model.blur_filter
    if taps and sum(taps) <= 0:
        yield f"`model.blur_filter` (={taps}) must have a positive sum, or be ()"
    taps = e.model.resample_filter
    if len(taps) < 2 or sum(taps) <= 0:
        yield (
            f"`model.resample_filter` (={taps}) must have two taps or more and a "
            "positive sum"
        )
    if not all(1 <= n <= 64 for n in e.data.base_size):
        yield f"`data.base_size` (={e.data.base_size}) must lie in 1 to 64"


def _wrong_pairs(name: str, pairs: ByResolution) -> Iterator[str]:
    if len(dict(pairs)) != len(pairs):
        yield f"`{name}` (={pairs}) names a resolution twice"
    for resolution, value in pairs:
        whole = "batch_size" not in name or value == int(value)
        if not (is_resolution(resolution) and value > 0 and whole):
            yield (
                f"`{name}` has ({resolution}, {value}); it takes {BY_RESOLUTION_HELP} "
                "with resolutions from 4 to 1024 and positive values, whole ones for "
                "batches"
            )


def _misfits(e: Experiment) -> Iterator[str]:
    """What is wrong between settings that are fine by themselves."""
    d, m, t, r = e.data, e.model, e.training, e.run
    if r.height_devices > 1:
        rows = image_size(d.base_size, r.height_min_resolution)[0]
        if d.resolution < r.height_min_resolution or rows % r.height_devices:
            yield (
                f"`run.height_devices` (={r.height_devices}) splits nothing; it must "
                f"divide the {rows} rows of `run.height_min_resolution` "
                f"(={r.height_min_resolution}), which `data.resolution` "
                f"(={d.resolution}) must reach"
            )
    if d.source in ("folder", "zip", "prepared") and d.path is None:
        yield f"`data.path` must name the images when `data.source` is {d.source!r}"
    if d.source == "tfds" and d.tfds_name is None:
        yield "`data.tfds_name` must name a data set when `data.source` is 'tfds'"
    if m.growing and t.initial_resolution > d.resolution:
        yield (
            f"`training.initial_resolution` (={t.initial_resolution}) must be at most "
            f"`data.resolution` (={d.resolution})"
        )
    if m.growing != (m.d_architecture == "growing"):
        yield (
            f"`model.g_architecture` (={m.g_architecture!r}) and "
            f"`model.d_architecture` (={m.d_architecture!r}) must both be 'growing', "
            "or neither"
        )
    yield from _unread(m)
    if m.family == "stylegan1" and not m.growing:
        yield "`model.g_architecture` must be 'growing' for the family stylegan1"
    if m.growing and d.base_size != (4, 4):
        yield (
            f"`data.base_size` (={d.base_size}) must be (4, 4) for growing networks; "
            "rectangles need `model.g_architecture` 'skip', 'resnet' or 'orig'"
        )
    if t.path_length_weight and not t.g_reg_interval:
        yield (
            "`training.path_length_weight` needs `training.g_reg_interval` (4 in "
            "StyleGAN2), the steps from one path length regularisation to the next"
        )
    if t.d_reg_interval and (t.loss != "logistic" or t.r2_gamma):
        yield (
            "`training.d_reg_interval` makes R1 lazy; it goes with `training.loss` "
            "'logistic' and `training.r2_gamma` 0 only"
        )
    if (t.augment != "none") != (t.augment_probability > 0):
        yield (
            f"`training.augment` (={t.augment!r}) and `training.augment_probability` "
            f"(={t.augment_probability}) must both be set, or 'none' and 0"
        )
    if t.augment != "none" and m.growing:
        yield (
            f"`training.augment` (={t.augment!r}) must be 'none' for growing networks"
        )
    smallest = min(image_size(d.base_size, d.resolution))
    if t.augment.startswith("bgcf") and smallest < 22:
        yield (
            f"`training.augment` (={t.augment!r}) filters images of at least 22 "
            f"pixels; these have {smallest}; try 'bgc'"
        )
    if t.transfer is not None and t.ema_rampup:
        yield (
            f"`training.ema_rampup` (={t.ema_rampup}) must be 0 with "
            "`training.transfer`: the first step would forget the averaged generator "
            "that was transferred"
        )
    if m.const_input and not m.styles:
        yield (
            "`model.styles`=False with a constant input leaves the images without any "
            "dependence on w; set `model.const_input`=False too"
        )
    for total in sorted(set(_batch_sizes(e))):
        batch_size = total / (t.accumulation_rounds or 1)
        if batch_size != int(batch_size):
            yield (
                f"a batch of {total:g} does not split into "
                f"`training.accumulation_rounds` (={t.accumulation_rounds}) parts"
            )
        elif t.path_length_weight and batch_size < t.path_length_batch_shrink:
            yield (
                f"a batch of {total:g} in `training.accumulation_rounds` "
                f"(={t.accumulation_rounds}) leaves no image for the path length, "
                "which takes one in `training.path_length_batch_shrink` "
                f"(={t.path_length_batch_shrink}); use fewer rounds or shrink less"
            )
        elif batch_size % min(m.mbstd_group_size, batch_size):
            yield (
                f"a batch of {batch_size:g} does not split into groups of "
                f"`model.mbstd_group_size` (={m.mbstd_group_size}); change one of them"
            )
    smallest_base = d.resolution // (2 if m.family == "stylegan1" else 1)
    if m.channel_base < smallest_base:
        yield (
            f"`model.channel_base` (={m.channel_base}) leaves no channels at "
            f"{d.resolution}x{d.resolution}; use at least {smallest_base}"
        )
    channels = m.channel_base // (2 if m.family == "stylegan1" else 4)
    if min(m.channel_max, channels) % m.mbstd_features:
        yield (
            f"`model.mbstd_features` (={m.mbstd_features}) must divide the number of "
            "channels at 4x4"
        )
    inputs = m.z_dim
    if d.conditional:  # the labels' embedding has as many features as z, or as w
        inputs += m.z_dim if m.family == "stylegan1" else m.w_dim
    if m.mapping_layers == 0 and inputs > m.w_dim and m.family == "stylegan2":
        yield "`model.mapping_layers` must be positive for a conditional stylegan2"
    elif m.mapping_layers == 0 and m.w_dim != inputs:
        yield (
            f"`model.w_dim` (={m.w_dim}) must be {inputs} when `model.mapping_layers` "
            "is 0"
        )
    if r.grid_rows * r.grid_columns > 4096:
        yield (
            f"`run.grid_rows` x `run.grid_columns` (={r.grid_rows * r.grid_columns}) "
            "must be at most 4096 images"
        )


def _unread(m: Model) -> Iterator[str]:
    """Settings that were changed though these networks do not read them."""
    readers = (
        ("styles const_input instance_norm pixel_norm", m.family == "stylegan1"),
        ("resample_filter conv_clamp", m.family == "stylegan2"),
        ("low_precision_resolutions", m.family == "stylegan2"),
        ("blur_filter", m.growing),
        ("d_mapping_layers freeze_layers", not m.growing),
    )
    for names, read in readers:
        for name in names.split():
            value, default = getattr(m, name), getattr(Model(), name)
            if not read and value != default:
                yield (
                    f"`model.{name}` (={value!r}) has no meaning for {m.family} with "
                    f"`model.g_architecture` {m.g_architecture!r}; leave it at "
                    f"{default!r}"
                )


_CHOICES = {
    "data.source": ("builtin", "tfds", "folder", "zip", "prepared"),
    "data.channels": (1, 3, 4),
    "data.fit": ("exact", "crop"),
    "model.family": ("stylegan1", "stylegan2"),
    "model.nonlinearity": ("lrelu", "relu"),
    "model.g_architecture": ("growing", "skip", "resnet", "orig"),
    "model.d_architecture": ("growing", "resnet", "skip", "orig"),
    "model.dtype": ("float32", "bfloat16"),
    "model.remat": ("none", "convolutions", "blocks"),
    "training.loss": ("logistic", "wgan", "hinge"),
    "training.augment": ("none", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"),
}
_POSITIVE = (
    "data.prefetch_batches",
    "model.z_dim",
    "model.w_dim",
    "model.mapping_features",
    "model.mapping_lr_multiplier",
    "model.channel_base",
    "model.channel_max",
    "model.mbstd_group_size",
    "model.mbstd_features",
    "training.total_kimg",
    "training.stage_kimg",
    "training.batch_size",
    "training.learning_rate",
    "training.discriminator_learning_rate",
    "training.accumulation_rounds",
    "training.path_length_batch_shrink",
    "training.steps_per_round",
    "training.adam_epsilon",
    "training.gp_target",
    "training.ema_half_life_kimg",
    "training.nonfinite_limit",
    "run.tick_kimg",
    "run.checkpoint_every_ticks",
    "run.keep_checkpoints",
    "run.grid_rows",
    "run.grid_columns",
    "run.height_devices",
    "run.device_memory_gib",
    "run.heartbeat_seconds",
    "run.hang_report_seconds",
)
_NON_NEGATIVE = (
    "model.mapping_layers",
    "model.conv_clamp",
    "model.low_precision_resolutions",
    "model.d_mapping_layers",
    "model.freeze_layers",
    "training.fade_kimg",
    "training.learning_rate_rampup_kimg",
    "training.r1_gamma",
    "training.r2_gamma",
    "training.d_reg_interval",
    "training.g_reg_interval",
    "training.path_length_weight",
    "training.ema_rampup",
    "training.gp_weight",
    "training.drift_weight",
    "run.seed",
)
_BELOW_ONE = ("training.adam_beta1", "training.adam_beta2")
_FRACTIONS = (
    "training.augment_probability",
    "training.style_mixing_probability",
    "training.w_avg_beta",
    "training.path_length_decay",
)


def is_resolution(value: int) -> bool:
    """Whether `value` is a side length that the networks can have."""
    return 4 <= value <= 1024 and value & (value - 1) == 0


def by_resolution(pairs: ByResolution, resolution: int, default: float) -> float:
    """The value that holds at `resolution`: its own entry, else `default`."""
    return dict(pairs).get(resolution, default)


def _batch_sizes(e: Experiment) -> list[float]:
    """The batch size of every resolution that the run may reach."""
    t = e.training
    sizes = []
    resolution = t.initial_resolution if e.model.growing else e.data.resolution
    while 4 <= resolution <= e.data.resolution:
        value = by_resolution(t.batch_size_by_resolution, resolution, t.batch_size)
        sizes.append(value)
        resolution *= 2
    return sizes


def _settings(e: Experiment) -> list[tuple[str, Any]]:
    """All settings as ("section.field", value)."""
    return [
        (f"{section.name}.{field.name}", getattr(getattr(e, section.name), field.name))
        for section in dataclasses.fields(e)
        for field in dataclasses.fields(getattr(e, section.name))
    ]


def _to_config_dict(section: Any) -> ConfigDict:
    out = ConfigDict()
    hints = typing.get_type_hints(type(section))
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            out[field.name] = _to_config_dict(value)
        elif isinstance(hints[field.name], types.UnionType):
            kind = typing.get_args(hints[field.name])[0]
            out[field.name] = config_dict.placeholder(kind)
            out[field.name] = value
        else:
            out[field.name] = value
    return out.lock()


def _build(cls: type, values: Any, prefix: str, problems: list[str]) -> Any:
    """An instance of the dataclass `cls`; appends to `problems` what does not fit."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if not isinstance(values, dict):
        problems.append(f"`{prefix[:-1]}` must be a section with keys {list(fields)}")
        return cls()
    hints = typing.get_type_hints(cls)
    kwargs = {}
    for name, value in values.items():
        if name not in fields:
            problems.append(unknown_key(prefix + name, fields))
        elif dataclasses.is_dataclass(hints[name]):
            kwargs[name] = _build(hints[name], value, f"{prefix}{name}.", problems)
        else:
            kwargs[name] = _coerce(hints[name], value, prefix + name, problems)
    return cls(**kwargs)


def _coerce(hint: Any, value: Any, name: str, problems: list[str]) -> Any:
    """`value` as the field's type; ints serve as floats and lists as tuples."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return None if value is None else _coerce(args[0], value, name, problems)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, (list, tuple)):
        if args[-1] is Ellipsis:
            return tuple(_coerce(args[0], v, name, problems) for v in value)
        if len(value) == len(args):
            return tuple(
                _coerce(a, v, name, problems) for a, v in zip(args, value, strict=True)
            )
    elif isinstance(value, origin or hint) and not (
        hint is int and isinstance(value, bool)
    ):
        return value
    wanted = getattr(hint, "__name__", str(hint))
    if hint == ByResolution or hint == tuple[int, float]:
        wanted = BY_RESOLUTION_HELP
    problems.append(f"`{name}` (={value!r}) must be {wanted}")
    return value
