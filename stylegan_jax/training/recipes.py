"""What each paper updates, in which order and how often.

A recipe is a tuple of phases. A phase names the network it trains and the objective;
`step.py` turns it into a program, the loop runs the phases that are due.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.config import Experiment, Training
from stylegan_jax.models import Discriminator, Generator
from stylegan_jax.models.mapping import mix_styles, update_w_avg
from stylegan_jax.rngs import Stream
from stylegan_jax.training import losses
from stylegan_jax.training.state import DISCRIMINATOR, GENERATOR, TrainState


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What an objective may use beside the parameters that it is differentiated by.

    Attributes:
      state: before the phase.
      reals: [B,R,R,C] in [-1,1], processed.
      labels: [B,label_size], or None for unconditional networks.
      fade: share of the stage's resolution.
      resolution: of the stage.
      key: gives the phase's key of a stream.
      split: asks for a batch to be split over the devices.
    """

    state: TrainState
    reals: jax.Array
    labels: jax.Array | None
    fade: jax.Array | float
    resolution: int
    key: Callable[[Stream], jax.Array]
    split: Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an objective reports beside its value."""

    scalars: dict[str, jax.Array]
    w_avg: jax.Array


Objective = Callable[[Any, Inputs], tuple[jax.Array, Outcome]]


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


def build(
    e: Experiment, generator: Generator, discriminator: Discriminator
) -> tuple[Phase, ...]:
    """The recipe of the experiment's family, in the paper's update order."""
    game = Game(generator, discriminator, e.training)
    match e.model.family:
        case "stylegan1":
            return (
                Phase("d_main", DISCRIMINATOR, game.discriminator_objective, ema=True),
                Phase("g_main", GENERATOR, game.generator_objective),
            )
        case _:
            raise ValueError(f"unknown `model.family` {e.model.family!r}")


@dataclasses.dataclass(frozen=True)
class Game:
    """The two players' objectives as StyleGAN (2019) has them."""

    generator: Generator
    discriminator: Discriminator
    training: Training

    def generator_objective(
        self, params: Any, inputs: Inputs
    ) -> tuple[jax.Array, Outcome]:
        """Fakes should be taken for real."""
        fakes, w_avg = self._fakes(params, inputs)
        scores = self._score(inputs.state.params[DISCRIMINATOR], inputs)(fakes)
        per_image = {
            "logistic": losses.g_logistic_nonsaturating,
            "wgan": losses.g_wgan,
            "hinge": losses.g_wgan,
        }[self.training.loss](scores)
        loss = jnp.mean(per_image)
        return loss, Outcome({"loss": loss, "score_fake": jnp.mean(scores)}, w_avg)

    def discriminator_objective(
        self, params: Any, inputs: Inputs
    ) -> tuple[jax.Array, Outcome]:
        """Reals and fakes should be told apart, with a smooth score."""
        t = self.training
        fakes, w_avg = self._fakes(inputs.state.params[GENERATOR], inputs)
        fakes = jax.lax.stop_gradient(fakes)
        score = self._score(params, inputs)
        shrink = (inputs.resolution / self.discriminator.resolution) ** 2
        scalars = {}

        def judged(images: jax.Array, gamma: float, name: str) -> tuple:
            """Scores, and the weighted penalty on their gradient where it counts."""
            if t.loss != "logistic" or gamma == 0:
                return score(images), 0.0
            scores, gradients = losses.scores_and_gradients(score, images)
            penalty = losses.squared_norm_penalty(gradients, shrink)
            scalars[name] = jnp.mean(penalty)
            return scores, gamma / 2 * penalty

        real, r1 = judged(inputs.reals, t.r1_gamma, "r1_penalty")
        fake, r2 = judged(fakes, t.r2_gamma, "r2_penalty")
        penalty = r1 + r2
        if t.loss != "logistic" and t.gp_weight > 0:
            factors = jax.random.uniform(inputs.key(Stream.INTERPOLATION), real.shape)
            between = losses.interpolate(inputs.reals, fakes, factors)
            _, gradients = losses.scores_and_gradients(score, between)
            raw = losses.unit_norm_penalty(gradients, shrink, t.gp_target)
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
        return loss, Outcome(scalars, w_avg)

    def _fakes(self, params: Any, inputs: Inputs) -> tuple[jax.Array, jax.Array]:
        """Training images [B,R,R,C] with mixed styles and noise; the new w average.

        The cutoff of style mixing is drawn per image (officially once per device), so
        that the numbers do not depend on the number of devices.
        """
        batch, g = len(inputs.reals), self.generator
        variables = inputs.state.generator_variables(params)

        def styles(stream: Stream) -> jax.Array:
            z = jax.random.normal(inputs.key(stream), (batch, g.z_dim))
            return g.apply(variables, inputs.split(z), inputs.labels, method="map")

        ws = styles(Stream.LATENT)
        w_avg = update_w_avg(inputs.state.w_avg, ws, self.training.w_avg_beta)
        layers = min(g.num_ws, 2 * (inputs.resolution.bit_length() - 2))
        if self.training.style_mixing_probability > 0 and layers > 1:
            cutoff = mixing_cutoff(
                inputs.key(Stream.MIXING_CUTOFF),
                batch,
                layers,
                self.training.style_mixing_probability,
            )
            ws = mix_styles(ws, styles(Stream.MIXING_LATENT), cutoff)
        fakes = g.apply(
            variables,
            ws,
            resolution=inputs.resolution,
            fade=inputs.fade,
            noise="random",
            method="synthesize",
            rngs={"noise": inputs.key(Stream.NOISE)},
        )
        return fakes, jax.lax.stop_gradient(w_avg)

    def _score(self, params: Any, inputs: Inputs) -> losses.Score:
        def score(images: jax.Array) -> jax.Array:
            return self.discriminator.apply(
                {"params": params}, images, inputs.labels, fade=inputs.fade
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
