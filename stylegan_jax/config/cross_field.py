"""Errors in combinations of settings that are valid by themselves."""

from collections.abc import Iterator

from stylegan_jax.config.schema import Experiment, by_resolution, image_size
from stylegan_jax.config.sections.data import Data
from stylegan_jax.config.sections.model import Model
from stylegan_jax.config.sections.training import DIFFAUGMENT, Training


def cross_field_errors(e: Experiment) -> Iterator[str]:
    """Iterate over the errors in combinations of settings, each valid by itself."""
    for check in (_images, _networks, _objective, _batches, _run):
        yield from check(e)


def _images(e: Experiment) -> Iterator[str]:
    """Check that the data set is named."""
    d = e.data
    if d.source in ("folder", "zip", "prepared", "tfrecords") and not d.path:
        yield f"`data.path` must name the images if `data.source` is {d.source!r}"
    elif d.path is not None and not d.path.strip():
        yield (
            f"`data.path` (={d.path!r}) must name the images: a folder or a zip, a "
            "folder that `prepare` made, or one with NVIDIA's TFRecords"
        )
    elif d.source in ("builtin", "tfds") and d.path is not None:
        yield (
            f"`data.path` (={d.path!r}) is not read if `data.source` is {d.source!r}; "
            "use `--config.data.source=auto` to train on these images, or leave out "
            "`data.path`"
        )
    if d.source == "builtin" and d.tfds_name is not None:
        yield (
            f"`data.tfds_name` (={d.tfds_name!r}) is not read if `data.source` is "
            "'builtin'; use `--config.data.source=tfds`, or leave it out"
        )
    if d.builtin == "emoji" and d.builtin_classes != "folder":
        yield (
            f"`data.builtin_classes` (={d.builtin_classes!r}) must be 'folder' for "
            "emoji; use `--config.data.builtin=smileys`, or leave it out"
        )
    elsewhere = d.source not in ("auto", "builtin") or bool(d.path or d.tfds_name)
    defaults = Data.builtin, Data.builtin_classes
    if elsewhere and (d.builtin, d.builtin_classes) != defaults:
        yield (
            f"`data.builtin` (={d.builtin!r}) and `data.builtin_classes` "
            f"(={d.builtin_classes!r}) have no effect on images from elsewhere; leave "
            f"them out, or set them to their defaults, {Data.builtin!r} and "
            f"{Data.builtin_classes!r}"
        )
    if d.source == "tfds" and d.tfds_name is None:
        yield "`data.tfds_name` must name a data set if `data.source` is 'tfds'"


def _networks(e: Experiment) -> Iterator[str]:
    """Check the networks, and the networks against the images."""
    d, m = e.data, e.model
    if m.family == "stylegan3":
        yield from _stylegan3(e)
    elif m.growing != (m.d_architecture == "growing"):
        yield (
            f"`model.g_architecture` (={m.g_architecture!r}) and "
            f"`model.d_architecture` (={m.d_architecture!r}) must both be 'growing', "
            "or neither"
        )
    yield from _unused(m)
    if m.family == "stylegan1" and not m.growing:
        yield "`model.g_architecture` must be 'growing' for the family stylegan1"
    if m.growing and d.base_size != (4, 4):
        yield (
            f"`data.base_size` (={d.base_size}) must be (4, 4) for growing networks; "
            "rectangles need `model.g_architecture` 'skip', 'resnet' or 'orig'"
        )
    if m.const_input and not m.styles:
        yield (
            "`model.styles` (=False) with `model.const_input` (=True) makes the images "
            "independent of w; also set `model.const_input` to False"
        )
    smallest_base = d.resolution // (2 if m.family == "stylegan1" else 1)
    if m.channel_base < smallest_base:
        yield (
            f"`model.channel_base` (={m.channel_base}) leaves no channels at "
            f"{d.resolution}x{d.resolution}; use at least {smallest_base}"
        )
    d_base, d_max = m.d_channel_base or m.channel_base, m.d_channel_max or m.channel_max
    channels = d_base // (2 if m.family == "stylegan1" else 4)
    if d_base < smallest_base:
        yield (
            f"`model.d_channel_base` (={d_base}) leaves no channels at "
            f"{d.resolution}x{d.resolution}; use at least {smallest_base}"
        )
    if min(d_max, channels) % m.mbstd_features:
        yield (
            f"`model.mbstd_features` (={m.mbstd_features}) must divide the number of "
            "channels at 4x4"
        )
    inputs = m.z_dim
    if d.conditional:  # the size of the label embedding
        inputs += m.z_dim if m.family == "stylegan1" else m.w_dim
    if m.mapping_layers == 0 and inputs > m.w_dim and m.family != "stylegan1":
        yield f"`model.mapping_layers` must be positive for a conditional {m.family}"
    elif m.mapping_layers == 0 and m.w_dim != inputs:
        yield (
            f"`model.w_dim` (={m.w_dim}) must be {inputs} when `model.mapping_layers` "
            "is 0"
        )


def _stylegan3(e: Experiment) -> Iterator[str]:
    """Check the settings of StyleGAN3."""
    d, m, t = e.data, e.model, e.training
    if m.d_architecture == "growing":
        yield (
            "`model.d_architecture` must not be 'growing' for the family stylegan3, "
            "which does not grow; use 'resnet'"
        )
    if d.base_size != (4, 4):
        yield (
            f"`data.base_size` (={d.base_size}) must be (4, 4) for the family "
            "stylegan3, whose images are square"
        )
    if m.num_critical >= m.num_layers:
        yield (
            f"`model.num_critical` (={m.num_critical}) must be less than "
            f"`model.num_layers` (={m.num_layers})"
        )
    if t.path_length_weight:
        yield (
            f"`training.path_length_weight` (={t.path_length_weight}) must be 0 for "
            "the family stylegan3, which is trained without this regularization"
        )
    if t.style_mixing_probability:
        yield (
            f"`training.style_mixing_probability` (={t.style_mixing_probability}) must "
            "be 0 for the family stylegan3, which is trained without style mixing"
        )


def _objective(e: Experiment) -> Iterator[str]:
    """Check the schedule, the losses and the augmentation."""
    d, m, t = e.data, e.model, e.training
    if m.growing and t.initial_resolution > d.resolution:
        yield (
            f"`training.initial_resolution` (={t.initial_resolution}) must be at most "
            f"`data.resolution` (={d.resolution})"
        )
    if t.path_length_weight and not t.g_reg_interval:
        yield (
            "`training.path_length_weight` needs `training.g_reg_interval` (4 in "
            "StyleGAN2), the number of steps between two path length regularizations"
        )
    if t.d_reg_interval and t.r2_gamma:
        yield (
            f"`training.d_reg_interval` (={t.d_reg_interval}) makes R1 lazy, which is "
            f"not supported for R2: `training.r2_gamma` (={t.r2_gamma}) must be 0"
        )
    yield from _unused_augmentation(t)
    if t.augment_adapts and t.loss in ("relativistic", "wgan"):
        yield (
            f"`training.augment` (={t.augment!r}) cannot adapt its probability to the "
            f"signs of scores if `training.loss` is {t.loss!r}, for which only score "
            "differences have a meaning; set `training.augment_probability`, and "
            "`training.augment_rampup_kimg` to ramp it up"
        )
    if t.augment != "none" and m.growing:
        yield (
            f"`training.augment` (={t.augment!r}) must be 'none' for growing networks"
        )
    smallest = min(image_size(d.base_size, d.resolution))
    if t.augment.startswith("bgcf") and smallest < 22:
        yield (
            f"`training.augment` (={t.augment!r}) applies filters, which need sides of "
            f"at least 22 pixels; the images have {smallest}; try 'bgc'"
        )
    if t.transfer is not None and t.blur_init_sigma:
        yield (
            f"`training.blur_init_sigma` (={t.blur_init_sigma}) must be 0 with "
            "`training.transfer`: the transferred networks can follow details already"
        )
    if t.transfer is not None and t.ema_rampup:
        yield (
            f"`training.ema_rampup` (={t.ema_rampup}) must be 0 with "
            "`training.transfer`; otherwise the first step would discard the "
            "transferred average of the generator"
        )


def _unused_augmentation(t: Training) -> Iterator[str]:
    """Check that all settings of the augmentation probability have an effect."""
    constant = ("augment_rampup_kimg",)
    adaptive = ("augment_target", "augment_speed_kimg", "augment_p_max")
    if t.augment == "none":
        unread = ("augment_probability", *constant, *adaptive)
        why = "`training.augment` is 'none'; choose augmentations, such as 'bgc'"
    elif t.augment in DIFFAUGMENT and not t.augment_probability:
        unread = (*constant, *adaptive)
        why = "the transforms of DiffAugment are then always applied"
    elif t.augment_probability:
        unread = adaptive
        why = (
            f"`training.augment_probability` (={t.augment_probability}) is constant; "
            "set it to 0 for an adaptive probability"
        )
    else:
        unread = constant
        why = (
            "`training.augment_probability` is 0, which makes it adaptive; set it to "
            "the final value of the ramp"
        )
    for name in unread:
        value, default = getattr(t, name), getattr(Training(), name)
        if value != default:
            yield f"`training.{name}` (={value!r}) has no effect because {why}"


def _batches(e: Experiment) -> Iterator[str]:
    """Check that batches split into accumulation rounds and minibatch groups."""
    m, t = e.model, e.training
    for total in sorted(set(_batch_sizes(e))):
        batch_size = total / (t.accumulation_rounds or 1)
        if batch_size != int(batch_size):
            yield (
                f"a batch of {total:g} is not divisible by "
                f"`training.accumulation_rounds` (={t.accumulation_rounds})"
            )
        elif t.path_length_weight and batch_size < t.path_length_batch_shrink:
            yield (
                f"a batch of {total:g} split by `training.accumulation_rounds` "
                f"(={t.accumulation_rounds}) leaves no image for the path length "
                "regularization, which uses one image in "
                f"`training.path_length_batch_shrink` (={t.path_length_batch_shrink}); "
                "use fewer rounds or a smaller divisor"
            )
        elif batch_size % min(m.mbstd_group_size, batch_size):
            yield (
                f"a batch of {batch_size:g} is not divisible into groups of "
                f"`model.mbstd_group_size` (={m.mbstd_group_size}); change one of them"
            )


def _run(e: Experiment) -> Iterator[str]:
    """Check the devices, the grid of samples and the evaluation."""
    d, r = e.data, e.run
    if r.height_devices > 1:
        rows = image_size(d.base_size, r.height_min_resolution)[0]
        if d.resolution < r.height_min_resolution or rows % r.height_devices:
            yield (
                f"`run.height_devices` (={r.height_devices}) must divide the {rows} "
                "rows of `run.height_min_resolution` "
                f"(={r.height_min_resolution}), which must not exceed "
                f"`data.resolution` (={d.resolution})"
            )
    if r.grid_rows * r.grid_columns > 4096:
        yield (
            f"`run.grid_rows` x `run.grid_columns` (={r.grid_rows * r.grid_columns}) "
            "must be at most 4096 images"
        )
    measures = {name.strip() for name in e.evaluation.metrics.split(",")}
    if (
        e.training.on_collapse != "continue"
        and not d.held_out
        and measures.isdisjoint({"msssim", "pr"})
    ):
        yield (
            f"`training.on_collapse` (={e.training.on_collapse!r}) needs a measure of "
            "variety: `msssim` or `pr` in `evaluation.metrics`, or `data.held_out`, "
            "such as 0.1"
        )
    if e.evaluation.best is not None and not e.evaluation.metrics:
        yield (
            f"`evaluation.best` (={e.evaluation.best!r}) needs a metric in "
            "`evaluation.metrics` that reports this number"
        )


def _unused(m: Model) -> Iterator[str]:
    """Check that all changed settings have an effect on these networks."""
    readers = (
        ("styles const_input instance_norm pixel_norm", m.family == "stylegan1"),
        ("resample_filter conv_clamp", m.family != "stylegan1"),
        ("blur_filter", m.growing),
        ("d_mapping_layers freeze_layers spectral_norm", not m.growing),
        ("d_channel_base d_channel_max", not m.growing),
        ("noise nonlinearity g_architecture", m.family != "stylegan3"),
        (
            "num_layers num_critical conv_kernel use_radial_filters filter_size "
            "lrelu_upsampling margin_size first_cutoff first_stopband "
            "last_stopband_rel output_scale",
            m.family == "stylegan3",
        ),
    )
    for names, read in readers:
        for name in names.split():
            value, default = getattr(m, name), getattr(Model(), name)
            if not read and value != default:
                yield (
                    f"`model.{name}` (={value!r}) has no effect for {m.family} with "
                    f"`model.g_architecture` {m.g_architecture!r}; leave it at "
                    f"{default!r}"
                )


def _batch_sizes(e: Experiment) -> list[float]:
    """Return the batch size of each resolution that the run may reach."""
    t = e.training
    sizes = []
    resolution = t.initial_resolution if e.model.growing else e.data.resolution
    while 4 <= resolution <= e.data.resolution:
        value = by_resolution(t.batch_size_by_resolution, resolution, t.batch_size)
        sizes.append(value)
        resolution *= 2
    return sizes
