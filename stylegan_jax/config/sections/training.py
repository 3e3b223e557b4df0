"""Settings of the objectives, the optimizers and the schedule."""

import dataclasses

from stylegan_jax.config.setting import (
    AT_LEAST_ONE_IMAGE,
    BY_RESOLUTION,
    DECAY,
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    RELATIVE_STDS,
    RESOLUTION,
    WHOLE_BY_RESOLUTION,
    ByResolution,
    setting,
)

# DiffAugment's choices of `training.augment`.
DIFFAUGMENT = (
    *("color", "translation", "cutout", "color,translation", "color,cutout"),
    *("translation,cutout", "color,translation,cutout"),
)


@dataclasses.dataclass(frozen=True)
class Training:
    """The objective, optimizer and schedule; numbers of images are over all devices."""

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
        "Batch sizes at individual resolutions, in place of `batch_size`.",
        unit="images",
        rule=WHOLE_BY_RESOLUTION,
    )
    learning_rate: float = setting(
        0.001, "Learning rate of both networks.", rule=POSITIVE
    )
    learning_rate_by_resolution: ByResolution = setting(
        (),
        "Learning rates at individual resolutions, in place of `learning_rate`.",
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
        "Clip generated images to [-1, 1], as when they are saved, before the "
        "discriminator sees them. The generator can then draw pure white and black "
        "backgrounds by exceeding the range.",
    )
    lecam_weight: float = setting(
        0.0,
        "Weight of the LeCam regularizer, which keeps the discriminator's scores of "
        "reals and fakes close to each other; its paper uses 3e-7 for StyleGAN2 on "
        "FFHQ.",
        rule=NON_NEGATIVE,
    )
    style_mixing_probability: float = setting(
        0.9, "Probability of style mixing.", rule=FRACTION
    )
    blur_init_sigma: float = setting(
        0.0,
        "Initial sigma of the blur on all images that the discriminator sees; 10 in "
        "StyleGAN3's config R; 0: none.",
        unit="pixels",
        rule=NON_NEGATIVE,
    )
    blur_fade_kimg: float = setting(
        200.0,
        "Length over which this blur fades to none.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    augment: str = setting(
        "none",
        "Augmentations of the discriminator's inputs, one letter per group: b pixel "
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
        "Constant probability of each augmentation. 0: adapt the probability, starting "
        "at 0, to how much the discriminator overfits (ADA); for DiffAugment, 0 means "
        "1, as in its paper.",
        rule=FRACTION,
    )
    augment_rampup_kimg: float = setting(
        0.0,
        "Length of the half-cosine ramp from 0 to the constant probability.",
        unit="thousands of real images",
        rule=NON_NEGATIVE,
    )
    augment_target: float | None = setting(
        None,
        "Target of the adaptive probability for the mean sign of the scores of real "
        "images; None: 0.6.",
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
        "Upper bound of the adaptive probability; None: no bound, as in the official "
        "code, where it can exceed 1 and every transform is then always applied.",
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
        "averages of any length after the training; (): none. They cannot be added to "
        "an existing run.",
        rule=RELATIVE_STDS,
    )
    power_ema_snapshot_kimg: float = setting(
        100.0,
        "Interval between snapshots of these averages.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    nonfinite_limit: int = setting(
        20,
        "Number of consecutive updates, skipped because of non-finite values, that "
        "stops the run.",
        rule=POSITIVE,
    )
    on_collapse: str = setting(
        "continue",
        "Action when the generated images have lost their variety, twice in a row "
        "according to `msssim` or `pr` of `evaluation.metrics` or to the images held "
        "out with `data.held_out`: `continue` warns; `stop` ends the run with an "
        "error; `rollback` goes back to the best checkpoint, once, with half the "
        "learning rate, and stops at the next collapse.",
        choices=("continue", "stop", "rollback"),
    )
    transfer: str | None = setting(
        None,
        "The `--workdir` of a run or the `--out` of a conversion from whose networks a "
        "new run starts; `.../checkpoints/NUMBER` selects a checkpoint other than the "
        "newest.",
    )

    @property
    def augment_adapts(self) -> bool:
        """True if the probability of the augmentations adapts to overfitting."""
        unchanging = ("none", *DIFFAUGMENT)
        return not self.augment_probability and self.augment not in unchanging
