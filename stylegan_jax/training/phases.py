"""What each paper updates, in which order and how often.

A recipe is a tuple of phases. A phase names the network it trains and the objective;
`step.py` turns it into a program, the loop runs the phases that are due.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.augment import transforms
from stylegan_jax.config import Experiment, Training
from stylegan_jax.models import Discriminator, Generator, LevelOfDetail
from stylegan_jax.models.mapping import mix_styles, update_w_avg
from stylegan_jax.rngs import Stream
from stylegan_jax.training import losses
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What an objective may use beside the parameters that it is differentiated by.

    Attributes:
      state: before the phase; its averages as the rounds before left them.
      reals: [B,R,R,C] in [-1,1], processed.
      labels: [B,label_size], or None for unconditional networks.
      lod: the stage's resolution and its fade.
      key: gives the phase's key of a stream.
      split: asks for a batch to be split over the devices.
    """

    state: TrainState
    reals: jax.Array
    labels: jax.Array | None
    lod: LevelOfDetail
    key: Callable[[Stream], jax.Array]
    split: Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class LossAux:
    """What an objective reports beside its value.

    Attributes:
      scalars: for the log.
      averages: moving averages of the state that it moved, by field.
    """

    scalars: dict[str, jax.Array]
    averages: dict[str, jax.Array]


Objective = Callable[[Any, Inputs], tuple[jax.Array, LossAux]]


@dataclasses.dataclass(frozen=True)
class Phase:
    """One update of one network.

    Attributes:
      name: unique in the recipe; prefix of its scalars.
      network: GENERATOR or DISCRIMINATOR.
      objective: (params of the network, inputs) -> (value to minimise, outcome).
      interval: run at every interval-th step.
      ema: average the generator after this phase.
    """

    name: str
    network: str
    objective: Objective
    interval: int = 1
    ema: bool = False


def build_phases(
    e: Experiment, generator: Generator, discriminator: Discriminator
) -> tuple[Phase, ...]:
    """The recipe of the experiment's family, in the paper's update order."""
    t, game = e.training, GANObjectives(generator, discriminator, e.training)
    d_main = (Phase("d_main", DISCRIMINATOR, game.discriminator_objective, ema=True),)
    d_r1 = g_path = ()
    if t.d_reg_interval and t.r1_gamma:
        objective = game.gradient_penalty_objective
        d_r1 = (Phase("d_r1", DISCRIMINATOR, objective, t.d_reg_interval),)
    g_main = (Phase("g_main", GENERATOR, game.generator_objective),)
    if t.path_length_weight:
        objective = game.path_length_objective
        g_path = (Phase("g_path", GENERATOR, objective, t.g_reg_interval),)
    match e.model.family:
        case "stylegan1":
            return d_main + d_r1 + g_main + g_path
        case "stylegan2":
            return g_main + g_path + d_main + d_r1
        case _:
            raise ValueError(f"unknown `model.family` {e.model.family!r}")


@dataclasses.dataclass(frozen=True)
class GANObjectives:
    """The two players' objectives.

    Regularisers that run only every k-th step (lazily) count k-fold.

    Reference: Karras et al. 2019, appendix C; Karras et al. 2020, "Analyzing and
    Improving the Image Quality of StyleGAN", section 3 and appendix B.
    """

    generator: Generator
    discriminator: Discriminator
    training: Training

    def generator_objective(
        self, params: Any, inputs: Inputs
    ) -> tuple[jax.Array, LossAux]:
        """Fakes should be taken for real."""
        ws, averages = self._styles(params, inputs, len(inputs.reals))
        fakes = self._synthesize(params, ws, inputs)
        judge = inputs.state.params[DISCRIMINATOR]
        scores = self._score(judge, inputs, Stream.AUGMENT_FAKES)(fakes)
        per_image = {
            "logistic": losses.g_logistic_nonsaturating,
            "wgan": losses.g_wgan,
            "hinge": losses.g_wgan,
        }[self.training.loss](scores)
        loss = jnp.mean(per_image)
        return loss, LossAux({"loss": loss, "score_fake": jnp.mean(scores)}, averages)

    def path_length_objective(
        self, params: Any, inputs: Inputs
    ) -> tuple[jax.Array, LossAux]:
        """A step in w should change the image by the same amount everywhere."""
        t = self.training
        # Every k-th row, so that each device keeps to its own.
        batch = len(inputs.reals) // t.path_length_batch_shrink
        if inputs.labels is not None:
            labels = inputs.labels[:: t.path_length_batch_shrink][:batch]
            inputs = dataclasses.replace(inputs, labels=labels)
        ws, averages = self._styles(params, inputs, batch)
        images, pull_back = jax.vjp(lambda ws: self._synthesize(params, ws, inputs), ws)
        noise = jax.random.normal(inputs.key(Stream.PATH_NOISE), images.shape)
        (gradients,) = pull_back(losses.path_noise(noise))
        lengths = losses.path_lengths(gradients)
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

    def discriminator_objective(
        self, params: Any, inputs: Inputs
    ) -> tuple[jax.Array, LossAux]:
        """Reals and fakes should be told apart, with a smooth score."""
        t = self.training
        made = inputs.state.params[GENERATOR]
        ws, averages = self._styles(made, inputs, len(inputs.reals))
        fakes = jax.lax.stop_gradient(self._synthesize(made, ws, inputs))
        scalars = {}

        def judged(
            images: jax.Array, stream: Stream, gamma: float, name: str
        ) -> tuple[jax.Array, jax.Array | float]:
            """Scores, and the weighted penalty on their gradient where it counts."""
            score = self._score(params, inputs, stream)
            if t.loss != "logistic" or gamma == 0:
                return score(images), 0.0
            scores, gradients = losses.scores_and_gradients(score, images)
            penalty = losses.squared_norm_penalty(gradients, self._shrink(inputs))
            scalars[name] = jnp.mean(penalty)
            return scores, gamma / 2 * penalty

        now = not t.d_reg_interval
        real, r1 = judged(
            inputs.reals, Stream.AUGMENT_REALS, now * t.r1_gamma, "r1_penalty"
        )
        fake, r2 = judged(fakes, Stream.AUGMENT_FAKES, now * t.r2_gamma, "r2_penalty")
        penalty = r1 + r2
        if t.loss != "logistic" and t.gp_weight > 0:
            factors = jax.random.uniform(inputs.key(Stream.INTERPOLATION), real.shape)
            between = losses.interpolate(inputs.reals, fakes, factors)
            score = self._score(params, inputs, Stream.AUGMENT_BETWEEN)
            _, gradients = losses.scores_and_gradients(score, between)
            raw = losses.unit_norm_penalty(gradients, self._shrink(inputs), t.gp_target)
            scalars["gradient_penalty"] = jnp.mean(raw)
            penalty = t.gp_weight / t.gp_target**2 * raw
        match t.loss:
            case "logistic":
                adversarial = losses.d_logistic(real, fake)
            case "wgan":
                adversarial = losses.d_wgan(real, fake, t.drift_weight)
            case "hinge":
                adversarial = losses.d_hinge(real, fake)
            case _:
                raise ValueError(f"unknown `training.loss` {t.loss!r}")
        loss = jnp.mean(adversarial + penalty)
        scalars |= {
            "loss": loss,
            "score_real": jnp.mean(real),
            "score_fake": jnp.mean(fake),
        }
        return loss, LossAux(scalars, averages)

    def gradient_penalty_objective(
        self, params: Any, inputs: Inputs
    ) -> tuple[jax.Array, LossAux]:
        """The score should be smooth around reals: R1 by itself."""
        t = self.training
        _, gradients = losses.scores_and_gradients(
            self._score(params, inputs, Stream.AUGMENT_REALS), inputs.reals
        )
        penalty = jnp.mean(losses.squared_norm_penalty(gradients, self._shrink(inputs)))
        loss = t.d_reg_interval * t.r1_gamma / 2 * penalty
        return loss, LossAux({"r1_penalty": penalty}, {})

    def _shrink(self, inputs: Inputs) -> float:
        return (inputs.lod.resolution / self.discriminator.resolution) ** 2

    def _styles(
        self, params: Any, inputs: Inputs, batch: int
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mixed styles [B,L,W] of new latents, and the w average moved by them.

        The cutoff of style mixing is drawn per image (officially once per device), so
        that the numbers do not depend on the number of devices.
        """
        t, g = self.training, self.generator
        variables = inputs.state.generator_variables(params)

        def styles(stream: Stream) -> jax.Array:
            z = jax.random.normal(inputs.key(stream), (batch, g.z_dim))
            return g.apply(variables, inputs.split(z), inputs.labels, method="map")

        ws = styles(Stream.LATENT)
        w_avg = update_w_avg(inputs.state.w_avg, ws, t.w_avg_beta)
        layers = min(g.num_ws, 2 * (inputs.lod.resolution.bit_length() - 2))
        if t.style_mixing_probability > 0 and layers > 1:
            key = inputs.key(Stream.MIXING_CUTOFF)
            cutoff = mixing_cutoff(key, batch, layers, t.style_mixing_probability)
            ws = mix_styles(ws, styles(Stream.MIXING_LATENT), cutoff)
        return ws, {"w_avg": jax.lax.stop_gradient(w_avg)}

    def _synthesize(self, params: Any, ws: jax.Array, inputs: Inputs) -> jax.Array:
        """Training images [B,H,W,C] of ws [B,L,W], with random noise."""
        return self.generator.apply(
            inputs.state.generator_variables(params),
            ws,
            lod=inputs.lod,
            noise="random",
            method="synthesize",
            rngs={"noise": inputs.key(Stream.NOISE)},
        )

    def _score(self, params: Any, inputs: Inputs, stream: Stream) -> losses.Score:
        """What the discriminator makes of images; it sees them augmented only.

        Penalties are on gradients by the images before that.
        """
        t = self.training

        def score(images: jax.Array) -> jax.Array:
            pipeline = transforms.PIPELINES[t.augment]
            images = transforms.augment(
                inputs.key(stream), images, t.augment_probability, pipeline
            )
            return self.discriminator.apply(
                {"params": params}, images, inputs.labels, lod=inputs.lod
            )

        return score


def mixing_cutoff(
    key: jax.Array, batch: int, layers: int, probability: float
) -> jax.Array:
    """First layer of the second style, per image [B].

    With `probability` uniform in [1, layers), else `layers`: no mixing.
    """
    chance, place = jax.random.split(key)
    cutoff = jax.random.randint(place, (batch,), 1, layers)
    return jnp.where(jax.random.uniform(chance, (batch,)) < probability, cutoff, layers)
