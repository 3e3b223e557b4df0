"""Settings for a few thousand images or fewer, each chosen with a reason.

    for choice in presets.small_choices(survey):
        print(choice)
    c = presets.small(images=400, resolution=64)

`configs/small.py` applies them to a folder. They start from the preset `auto`. The
differences counter the two failures of small data sets: the discriminator memorizes the
images, and the generator collapses to a few of them.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", section 3 and appendix C.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax import config
from stylegan_jax.presets import official

MAX_RESOLUTION, MAX_RESOLUTION_ON_CPU = 512, 64
MIN_RESOLUTION = 32
ENOUGH_TO_HOLD_OUT = 300  # images
FEW = 2000  # images, below which the gradient penalty is strongest
MANY = 50_000  # images, from which the discriminator hardly memorizes them
# The average image differs from its mirror image by this share of the spread of the
# images (see `Survey`) for sets of text, or of objects that face one way.
ASYMMETRIC = 0.15
# Share of equal neighboring pixels (see `Survey`): 0.48 and 0.62 in the built-in
# smileys and emoji, 0.07 and 0.02 in the photographs of Olivetti faces and CIFAR-10.
FLAT = 0.25
PASSES = 100  # over the images, in which the augmentation probability can rise by 1
P_MAX = 0.85  # upper bound: at 1, the generator would learn the augmentations


@dataclasses.dataclass(frozen=True)
class Survey:
    """Properties of a data set that the settings depend on.

    Attributes:
      images: number of images.
      side: pixels that the smaller side of nine in ten images has at least.
      channels: 1 grayscale, 3 RGB.
      asymmetry: rms difference of the average image from its mirror image, relative to
        the rms spread of the images around their average; 0 where sampling explains it.
      classes: number of classes.
      flatness: share of the pixels that equal their neighbor.
    """

    images: int
    side: int
    channels: int = 3
    asymmetry: float = 0.0
    classes: int = 0
    flatness: float = 0.0


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setting and the reason for its value.

    Attributes:
      name: `section.field`.
      value: its value.
      reason: one sentence without a full stop.
    """

    name: str
    value: Any
    reason: str

    def __str__(self) -> str:
        """Return one line for the console."""
        return f"{self.name} = {self.value!r}: {self.reason}"


def small(
    images: int, resolution: int, devices: int = 1, on_cpu: bool = False
) -> ConfigDict:
    """Return the config for a number of RGB photographs without classes.

    Args:
      images: number of images.
      resolution: resolution of the images in pixels, a power of two from 32 on.
      devices: number of devices of the run, a power of two.
      on_cpu: True for networks that a CPU trains in hours.

    Raises:
      ValueError: a number is out of its range.
    """
    survey = Survey(images, resolution)
    choices = small_choices(survey, devices, on_cpu, resolution)
    return with_changes({c.name: c.value for c in choices}, devices)


def with_changes(chosen: dict[str, Any], devices: int) -> ConfigDict:
    """Return the preset `auto` for a resolution with some settings changed.

    Args:
      chosen: `section.field` -> value; must have "data.resolution".
      devices: number of devices of the run.
    """
    c = config.base()
    c.update_from_flattened_dict(
        official.changes("auto", chosen["data.resolution"], devices) | chosen
    )
    return c


def small_choices(
    survey: Survey,
    devices: int = 1,
    on_cpu: bool = False,
    resolution: int | None = None,
    has_metric: bool = False,
) -> tuple[Choice, ...]:
    """Choose the settings for a data set that differ from the preset `auto`.

    Args:
      survey: the data set.
      devices: number of devices of the run, a power of two.
      on_cpu: True for networks that a CPU trains in hours.
      resolution: resolution in pixels, a power of two from 4 to 1024; None chooses it.
      has_metric: True if the weights of `kid_efficientnet` are installed.

    Raises:
      ValueError: there are no images, they are smaller than 32 pixels, or the
        resolution is not supported.
    """
    if survey.images < 1 or survey.side < MIN_RESOLUTION:
        raise ValueError(
            f"{survey.images} images whose smaller sides have {survey.side} pixels "
            f"cannot be used; at least one image and {MIN_RESOLUTION} pixels are needed"
        )
    if resolution is None:
        resolution, why = _resolution(survey.side, on_cpu)
    else:
        config.check_resolution(resolution, "the resolution")
        why = "you chose it"
    return (
        Choice("data.resolution", resolution, why),
        *_data(survey),
        _noise(survey),
        *(_cpu_networks(resolution) if on_cpu else ()),
        *_objective(survey, resolution, devices, on_cpu),
        *_schedule(survey, on_cpu),
        *_evaluation(survey, on_cpu, has_metric),
    )


def _resolution(side: int, on_cpu: bool) -> tuple[int, str]:
    """Return the resolution for images with a smaller side, and the reason."""
    limit = MAX_RESOLUTION_ON_CPU if on_cpu else MAX_RESOLUTION
    resolution = 2 ** (side.bit_length() - 1)
    if resolution < limit:
        why = f"nine of ten images have at least {side} pixels on each side"
        return resolution, why
    where = "a CPU trains" if on_cpu else "few images support"
    return limit, f"the largest that {where}; the images have {side} pixels"


def _held_out(survey: Survey) -> float:
    """Return the share of the images that is held out from training."""
    return 0.1 if survey.images >= ENOUGH_TO_HOLD_OUT else 0.0


def _data(survey: Survey) -> list[Choice]:
    mirror = survey.asymmetry < ASYMMETRIC
    percent = f"{survey.asymmetry:.0%} of their spread"
    return [
        Choice("data.fit", "crop", "images of other sizes are cropped"),
        Choice("data.channels", survey.channels, "that of the images"),
        Choice(
            "data.mirror",
            mirror,
            "it doubles the data; set it to False if the images show text"
            if mirror
            else f"the average image and its mirror image differ by {percent}, as with "
            "text, or light from one side; True doubles the images",
        ),
        Choice(
            "data.held_out",
            _held_out(survey),
            "a tenth shows how much the discriminator overfits"
            if _held_out(survey)
            else "there are too few images to hold any out",
        ),
        Choice(
            "data.conditional",
            False,
            f"{survey.classes} classes would leave fewer images for each"
            if survey.classes
            else "there are no classes",
        ),
    ]


def _noise(survey: Survey) -> Choice:
    percent = f"{survey.flatness:.0%} of the neighboring pixels are equal"
    if survey.flatness < FLAT:
        return Choice("model.noise", True, f"for fine detail; {percent}")
    why = f"{percent}, as in drawings; set it to True for photographs on plain grounds"
    return Choice("model.noise", False, why)


def _cpu_networks(resolution: int) -> list[Choice]:
    why = "narrow networks, so that a CPU takes hours instead of weeks"
    return [
        Choice("model.channel_base", 32 * resolution, why),
        Choice("model.channel_max", 2 * resolution, why),
        *(
            Choice(f"model.{name}", 128, why)
            for name in ("z_dim", "w_dim", "mapping_features")
        ),
        Choice("model.mapping_layers", 4, why),
        Choice("model.g_architecture", "resnet", "it learns image borders sooner"),
        Choice("model.conv_clamp", None, "only low precision needs it"),
    ]


def _objective(
    survey: Survey, resolution: int, devices: int, on_cpu: bool
) -> list[Choice]:
    if on_cpu:
        gamma = (resolution / 32) ** 2
        choices = [
            Choice("training.batch_size", 8, "more steps in the same time"),
            Choice("training.learning_rate", 0.002, "for this batch"),
            Choice("training.path_length_weight", 0.0, "one program less to compile"),
            Choice("training.g_reg_interval", 0, "no path length penalty"),
            Choice("training.d_reg_interval", 8, "for this batch"),
            Choice(
                "training.style_mixing_probability",
                0.3,
                "narrow networks learn more slowly with more",
            ),
            Choice("training.r1_gamma", gamma, "narrow networks collapse with less"),
        ]
    else:
        factor = 5 if survey.images < FEW else 2
        gamma = factor * official.scaled(resolution, devices).r1_gamma
        why = f"{factor} times that of `auto`, because few images are memorized quickly"
        choices = [Choice("training.r1_gamma", gamma, why)]
    why = "as when they are saved; white backgrounds become exact sooner"
    choices.append(Choice("training.clip_fakes", True, why))
    if survey.images >= MANY:
        return choices
    images = survey.images * (1 - _held_out(survey))
    why = f"without augmentation, {survey.images:,} images would be memorized"
    return [
        *choices,
        Choice("training.augment", "bgc", f"{why}; its probability adapts"),
        Choice(
            "training.augment_speed_kimg",
            min(PASSES * round(images) / 1000, 500.0),
            f"its probability can then rise by 1 in {PASSES} passes over the images, "
            "and no more slowly than in the official code",
        ),
        Choice(
            "training.augment_p_max",
            P_MAX,
            "beyond it, transforms would leak into generated images",
        ),
    ]


def _schedule(survey: Survey, on_cpu: bool) -> list[Choice]:
    if on_cpu:
        kimg, tick = 1000.0, 4.0
    else:
        kimg, tick = (5000.0 if survey.images < 5000 else 10000.0), 10.0
    choices = [
        Choice("training.total_kimg", kimg, "to begin with; resume with more"),
        Choice("run.tick_kimg", tick, "a grid of samples every few minutes"),
    ]
    if on_cpu:
        choices += [
            Choice("training.ema_half_life_kimg", 4.0, "for this batch"),
            Choice("training.ema_rampup", 0.05, "early samples follow the training"),
        ]
    return choices


def _evaluation(survey: Survey, on_cpu: bool, has_metric: bool) -> list[Choice]:
    if survey.images < ENOUGH_TO_HOLD_OUT:
        return []
    why = "a run that loses its variety goes back once to the best checkpoint"
    choices = [Choice("training.on_collapse", "rollback", why)]
    if has_metric:
        name = "kid_efficientnet"
        choices += [
            Choice("evaluation.metrics", f"{name},msssim", "they need no download"),
            Choice(
                "evaluation.every_kimg",
                20.0 if on_cpu else 100.0,
                "often enough to find the best checkpoint",
            ),
            Choice("evaluation.images", 1024, "a few minutes on a CPU"),
            Choice("evaluation.best", name, "the best checkpoint is kept"),
        ]
    return choices
