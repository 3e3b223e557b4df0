"""The updates of a training step: their networks, objectives and intervals.

A training step is a tuple of phases. Each phase updates one network by one objective;
`step.py` turns it into a program, and the loop runs the phases that are due. To add an
objective, write a method of `GANObjectives` and name it in a `Phase` of `build_phases`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.augment import controller, diffaugment, transforms
from stylegan_jax.augment.policies import (
    POLICIES,
    DiffPolicy,
    Policy,
    PseudoPolicy,
)
from stylegan_jax.config import Experiment, Training, by_resolution
from stylegan_jax.layers import spectral_norm
from stylegan_jax.models import Discriminator, Generator, LevelOfDetail
from stylegan_jax.models.mapping import mix_styles, update_w_avg
from stylegan_jax.rngs import Stream
from stylegan_jax.training import blur, losses
from stylegan_jax.training.official import OFFICIAL
from stylegan_jax.training.state import (
    DISCRIMINATOR,
    GENERATOR,
    TrainState,
    without_w_avg,
)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Inputs of an objective, besides the parameters that it is minimized over.

    Attributes:
      state: the state before the phase, except that the moving averages of
        `step.AVERAGES` are those after the previous accumulation round, and its clock
        that of the step's start.
      reals: [B,H,W,C] float32 in [-1,1], see `step.process_reals`.
      labels: [B,label_size], or None for unconditional networks.
      lod: the stage's resolution and its fade.
      key: (stream) -> the random key of this phase and accumulation round.
      shard_batch: constrains a batch to be sharded over the devices.
      padded_rows: (rows of a batch) -> rows to which it must be padded for sharding.
    """

    state: TrainState
    reals: jax.Array
    labels: jax.Array | None
    lod: LevelOfDetail
    key: Callable[[Stream], jax.Array]
    shard_batch: Callable[[jax.Array], jax.Array]
    padded_rows: Callable[[int], int]


@dataclasses.dataclass(frozen=True)
class LossAux:
    """Results of an objective, besides the loss.

    Attributes:
      scalars: numbers for the log.
      averages: name of a field of `TrainState` -> the updated moving average or sum.
    """

    scalars: dict[str, jax.Array]
    averages: dict[str, Any]


Objective = Callable[[Any, Inputs], tuple[jax.Array, LossAux]]


@dataclasses.dataclass(frozen=True)
class Phase:
    """One update of one network.

    Attributes:
      name: unique among the phases; prefix of its scalars.
      network: GENERATOR or DISCRIMINATOR.
      objective: (parameters of the network, inputs) -> (loss [], `LossAux`).
      interval: number of steps between two runs of the phase.
      ema: True for the phase after which the averaged generator is updated.
    """

    name: str
    network: str
    objective: Objective
    interval: int = 1
    ema: bool = False


def build_phases(
    e: Experiment, generator: Generator, discriminator: Discriminator
) -> tuple[Phase, ...]:
    """Return the phases of a step, in the order of the family's official code."""
    t, official = e.training, OFFICIAL[e.model.family]
    objectives = GANObjectives(
        generator, discriminator, t, averages_once=official.averages_once
    )
    d_phases = (Phase("d_main", DISCRIMINATOR, objectives.discriminator, ema=True),)
    if t.d_reg_interval and t.r1_gamma:
        d_phases += (Phase("d_r1", DISCRIMINATOR, objectives.r1, t.d_reg_interval),)
    g_phases = (Phase("g_main", GENERATOR, objectives.generator),)
    if t.path_length_weight:
        objective = objectives.path_length
        g_phases += (Phase("g_path", GENERATOR, objective, t.g_reg_interval),)
    if official.generator_first:
        return g_phases + d_phases
    return d_phases + g_phases


class GANObjectives:
    """The objectives of the two networks.

    The weight of a regularizer that runs only at every k-th step (lazily) is multiplied
    by k.

    Reference: Karras et al. 2019, appendix C; Karras et al. 2020, "Analyzing and
    Improving the Image Quality of StyleGAN", section 3 and appendix B.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        training: Training,
        *,
        averages_once: bool = False,
    ):
        """Store the networks and the settings of the losses.

        `averages_once` updates the average of w with the discriminator's loss only.

        Raises:
          ValueError: if R1 is lazy, but the loss has another gradient penalty.
        """
        self._generator, self._discriminator = generator, discriminator
        self._training, self._averages_once = training, averages_once
        self._loss = losses.adversarial_loss(training.loss, training.drift_weight)
        if self._loss.penalizes_interpolates and training.d_reg_interval:
            raise ValueError(
                f"`training.d_reg_interval` (={training.d_reg_interval}) makes R1 "
                f"lazy, but `training.loss` {training.loss!r} has the gradient penalty "
                "of WGAN-GP instead of R1; set the interval to 0"
            )
        self._augment_policy = POLICIES[training.augment]

    def generator(self, params: Any, inputs: Inputs) -> tuple[jax.Array, LossAux]:
        """Compute the generator's loss: fakes should score like reals."""
        ws, averages = self._styles(params, inputs, len(inputs.reals))
        averages = {} if self._averages_once else averages
        fakes = self._shown(self._synthesize(params, ws, inputs))
        d_params = inputs.state.params[DISCRIMINATOR]
        fake = self._score(d_params, inputs, Stream.AUGMENT_FAKES)(fakes)
        real = None
        if self._loss.generator_scores_reals:
            real = self._score(d_params, inputs, Stream.AUGMENT_REALS)(
                self._reals(inputs)
            )
        loss = jnp.mean(self._loss.generator(fake, real))
        return loss, LossAux({"loss": loss, "score_fake": jnp.mean(fake)}, averages)

    def path_length(self, params: Any, inputs: Inputs) -> tuple[jax.Array, LossAux]:
        """Penalize steps in w that change images more or less than the average step."""
        t = self._training
        # Take every k-th row, so that no device needs another's rows.
        batch = len(inputs.reals) // t.path_length_batch_shrink
        # Pad a batch that does not divide evenly over the devices. The padding comes
        # last, so that the random numbers of the batch do not change, and enters no
        # mean.
        rows = inputs.padded_rows(batch)
        if inputs.labels is not None:
            labels = inputs.labels[:: t.path_length_batch_shrink][:batch]
            labels = jnp.pad(labels, ((0, rows - batch), (0, 0)))
            inputs = dataclasses.replace(inputs, labels=labels)
        ws, averages = self._styles(params, inputs, batch, rows)
        images, pull_back = jax.vjp(lambda ws: self._synthesize(params, ws, inputs), ws)
        noise = jax.random.normal(inputs.key(Stream.PATH_NOISE), images.shape)
        (gradients,) = pull_back(losses.path_noise(noise))
        lengths = inputs.shard_batch(losses.path_lengths(gradients))[:batch]
        penalty, mean = losses.path_length_penalty(
            lengths, inputs.state.path_length_mean, t.path_length_decay
        )
        averages |= {"path_length_mean": jax.lax.stop_gradient(mean)}
        scalars = {
            "penalty": jnp.mean(penalty),
            "length": jnp.mean(lengths),
            "length_mean": mean,
        }
        loss = t.g_reg_interval * t.path_length_weight * jnp.mean(penalty)
        return loss, LossAux(scalars, averages)

    def discriminator(self, params: Any, inputs: Inputs) -> tuple[jax.Array, LossAux]:
        """Compute the discriminator's loss, with the penalties that are not lazy."""
        t = self._training
        spectral = spectral_norm.iterate(params, inputs.state.spectral)
        inputs = dataclasses.replace(
            inputs, state=inputs.state.replace(spectral=spectral)
        )
        g_params = inputs.state.params[GENERATOR]
        ws, averages = self._styles(g_params, inputs, len(inputs.reals))
        fakes, magnitudes = self._synthesize_and_average(g_params, ws, inputs)
        fakes = jax.lax.stop_gradient(self._shown(fakes))
        averages |= {"magnitudes": magnitudes, "spectral": spectral}

        reals = self._reals(inputs)

        # Scores, with R1 on reals and R2 on fakes if they belong to every step.
        uses_gp = self._loss.penalizes_interpolates
        eager = not uses_gp and not t.d_reg_interval
        real, r1 = self._score_and_penalize(
            params, inputs, Stream.AUGMENT_REALS, reals, eager * t.r1_gamma
        )
        fake, r2 = self._score_and_penalize(
            params, inputs, Stream.AUGMENT_FAKES, fakes, eager * t.r2_gamma
        )
        scalars, penalty = {}, 0.0
        for name, gamma, raw in (("r1", t.r1_gamma, r1), ("r2", t.r2_gamma, r2)):
            if raw is not None:
                scalars[f"{name}_penalty"] = jnp.mean(raw)
                penalty = penalty + gamma / 2 * raw

        # The gradient penalty of WGAN-GP, on points between reals and fakes.
        if uses_gp and t.gp_weight > 0:
            factors = jax.random.uniform(inputs.key(Stream.INTERPOLATION), real.shape)
            between = losses.interpolate(reals, fakes, factors)
            score = self._score(params, inputs, Stream.AUGMENT_BETWEEN)
            _, gradients = losses.scores_and_gradients(score, between)
            raw = losses.unit_norm_penalty(gradients, self._shrink(inputs), t.gp_target)
            scalars["gradient_penalty"] = jnp.mean(raw)
            penalty = t.gp_weight / t.gp_target**2 * raw

        if t.lecam_weight > 0:
            means = losses.update_score_means(inputs.state.score_means, real, fake)
            averages |= {"score_means": jax.lax.stop_gradient(means)}
            raw = losses.lecam_penalty(real, fake, averages["score_means"])
            scalars["lecam_penalty"] = jnp.mean(raw)
            penalty = penalty + t.lecam_weight * raw

        loss = jnp.mean(self._loss.discriminator(real, fake) + penalty)
        scalars |= {
            "loss": loss,
            "score_real": jnp.mean(real),
            "score_fake": jnp.mean(fake),
            "sign_real": jnp.mean(jnp.sign(real)),
        }
        return loss, LossAux(scalars, averages | self._count_signs(inputs, real))

    def r1(self, params: Any, inputs: Inputs) -> tuple[jax.Array, LossAux]:
        """Compute only R1, for lazy regularization."""
        t = self._training
        score = self._score(params, inputs, Stream.AUGMENT_REALS)
        scores, gradients = losses.scores_and_gradients(score, self._reals(inputs))
        penalty = jnp.mean(losses.squared_norm_penalty(gradients, self._shrink(inputs)))
        loss = t.d_reg_interval * t.r1_gamma / 2 * penalty
        return loss, LossAux({"r1_penalty": penalty}, self._count_signs(inputs, scores))

    def _count_signs(self, inputs: Inputs, scores: jax.Array) -> dict[str, jax.Array]:
        """Return the counts from which the augmentation probability is adapted."""
        if not self._training.augment_adapts:
            return {}
        counts = controller.score_signs(jax.lax.stop_gradient(scores))
        return {"real_signs": inputs.state.real_signs + counts}

    def _shrink(self, inputs: Inputs) -> float:
        return (inputs.lod.resolution / self._discriminator.resolution) ** 2

    def _styles(
        self, params: Any, inputs: Inputs, batch: int, rows: int | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return mixed styles [B,L,W] of new latents, and the updated average of w.

        `rows` adds rows of padding to the styles, which do not enter the average.

        The cutoff of style mixing is drawn per image. The official code draws it once
        per device, which would make the numbers depend on the number of devices.
        """
        t, g = self._training, self._generator
        rows = batch if rows is None else rows
        variables = inputs.state.generator_variables(params)

        def styles(stream: Stream) -> jax.Array:
            z = jax.random.normal(inputs.key(stream), (rows, g.z_dim))
            return g.apply(
                variables, inputs.shard_batch(z), inputs.labels, method="map"
            )

        ws = styles(Stream.LATENT)
        w_avg = update_w_avg(inputs.state.w_avg, ws[:batch], t.w_avg_beta)
        layers = g.num_ws_at(inputs.lod.resolution)
        if t.style_mixing_probability > 0 and layers > 1:
            key = inputs.key(Stream.MIXING_CUTOFF)
            cutoff = mixing_cutoff(key, rows, layers, t.style_mixing_probability)
            ws = mix_styles(ws, styles(Stream.MIXING_LATENT), cutoff)
        return ws, {"w_avg": jax.lax.stop_gradient(w_avg)}

    def _synthesize(self, params: Any, ws: jax.Array, inputs: Inputs) -> jax.Array:
        """Return the training images [B,H,W,C] of ws [B,L,W], with random noise."""
        return self._generator.apply(
            inputs.state.generator_variables(params),
            ws,
            lod=inputs.lod,
            noise="random",
            method="synthesize",
            rngs={"noise": inputs.key(Stream.NOISE)},
        )

    def _synthesize_and_average(
        self, params: Any, ws: jax.Array, inputs: Inputs
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Return the training images of ws and the updated averages of magnitudes."""
        t, state = self._training, inputs.state
        if not state.magnitudes:
            return self._synthesize(params, ws, inputs), {}
        batch_size = by_resolution(
            t.batch_size_by_resolution, inputs.lod.resolution, t.batch_size
        )
        images, updated = self._generator.apply(
            state.generator_variables(params),
            ws,
            lod=inputs.lod,
            noise="random",
            magnitude_beta=0.5 ** (batch_size / (t.magnitude_half_life_kimg * 1000)),
            method="synthesize",
            mutable=["stats"],
            rngs={"noise": inputs.key(Stream.NOISE)},
        )
        return images, without_w_avg(updated["stats"])

    def _reals(self, inputs: Inputs) -> jax.Array:
        """Return the images to label as real: with APA, some of them are generated.

        These are new images: those in the batch of fakes would have both labels.
        """
        if not isinstance(self._augment_policy, PseudoPolicy):
            return inputs.reals
        of_pseudo = dataclasses.replace(
            inputs,
            key=lambda stream: jax.random.fold_in(
                inputs.key(stream), Stream.PSEUDO_REALS
            ),
        )
        params, batch = inputs.state.params[GENERATOR], len(inputs.reals)
        ws, _ = self._styles(params, of_pseudo, batch)
        fakes = self._shown(self._synthesize(params, ws, of_pseudo))
        gates = jax.random.uniform(inputs.key(Stream.PSEUDO_REALS), (batch, 1, 1, 1))
        replaced = gates < inputs.state.augment_probability
        return jnp.where(replaced, jax.lax.stop_gradient(fakes), inputs.reals)

    def _shown(self, images: jax.Array) -> jax.Array:
        """Return generated images as the discriminator sees them."""
        return jnp.clip(images, -1, 1) if self._training.clip_fakes else images

    def _score(self, params: Any, inputs: Inputs, stream: Stream) -> losses.Score:
        """Return the function from images to the logits of their augmentations.

        Penalties use the gradients with respect to the images before augmentation.
        """
        t = self._training
        variables = inputs.state.discriminator_variables(params)

        def score(images: jax.Array) -> jax.Array:
            if t.blur_init_sigma:
                seen = inputs.state.images_seen
                sigma = blur.sigma_at(t.blur_init_sigma, t.blur_fade_kimg, seen)
                images = blur.blur(images, sigma, t.blur_init_sigma)
            images = self._augment(inputs, stream, images)
            return self._discriminator.apply(
                variables, images, inputs.labels, lod=inputs.lod
            )

        return score

    def _augment(self, inputs: Inputs, stream: Stream, images: jax.Array) -> jax.Array:
        key, probability = inputs.key(stream), inputs.state.augment_probability
        match self._augment_policy:
            case Policy() as policy:
                return transforms.augment(key, images, probability, policy)
            case DiffPolicy() as policy:
                return diffaugment.augment(key, images, probability, policy)
            case PseudoPolicy():  # see `_reals`
                return images

    def _score_and_penalize(
        self,
        params: Any,
        inputs: Inputs,
        stream: Stream,
        images: jax.Array,
        gamma: float,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Return logits [B] and squared gradient norms [B], or None if `gamma` is 0."""
        score = self._score(params, inputs, stream)
        if gamma == 0:
            return score(images), None
        scores, gradients = losses.scores_and_gradients(score, images)
        return scores, losses.squared_norm_penalty(gradients, self._shrink(inputs))


def mixing_cutoff(
    key: jax.Array, batch: int, layers: int, probability: float
) -> jax.Array:
    """Return the first layer of the second style, int32 per image [B].

    It is uniform in [1, layers) with `probability`, else `layers`, which does not mix.
    """
    key_mix, key_layer = jax.random.split(key)
    cutoff = jax.random.randint(key_layer, (batch,), 1, layers)
    mixed = jax.random.uniform(key_mix, (batch,)) < probability
    return jnp.where(mixed, cutoff, layers)
