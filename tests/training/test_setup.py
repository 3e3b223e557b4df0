"""The networks, phases and initial state that `setup.build` creates."""

import dataclasses
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.runtime import parallel
from stylegan_jax.training import losses, setup
from stylegan_jax.training.phases import GANObjectives, Inputs
from tests import tiny

AUGMENTED = tiny.STYLEGAN2 | {
    "training.augment": "bgc",
    "training.augment_probability": 0.25,
}


def test_initial_state_follows_the_experiment():
    training = setup.build(tiny.experiment(AUGMENTED), parallel.local(), 3)
    with tiny.quick_compilation():
        state = training.create_state()
    abstract = training.abstract_state
    chex.assert_trees_all_equal_shapes_and_dtypes(state, abstract)
    assert state.augment_probability == 0.25
    assert state.step == state.images_seen == 0
    assert set(state.skipped) == set(training.phase_names)
    assert training.phase_names == ["g_main", "g_path", "d_main", "d_r1"]
    assert training.generator.label_size == training.discriminator.label_size == 3
    for leaf, expected in zip(
        jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True
    ):
        assert leaf.sharding == expected.sharding


def test_the_choices_of_the_loss_are_those_that_exist():
    (loss,) = (f for f in dataclasses.fields(config.Training) if f.name == "loss")
    choices = re.escape(str(loss.metadata["choices"]))
    with pytest.raises(ValueError, match=rf"\(='other'\) must be one of {choices}$"):
        losses.adversarial_loss("other")


@pytest.mark.parametrize("loss", ["wgan", "hinge"])
def test_r1_is_lazy_only_for_losses_with_r1(loss):
    e = tiny.experiment(tiny.STYLEGAN2 | {"training.loss": loss})
    with pytest.raises(ValueError, match=rf"\(=3\) makes R1 lazy, but .* '{loss}' has"):
        setup.build(e, parallel.local())


@pytest.mark.parametrize(
    ("platform", "height_devices", "blocks"),
    [("tpu", 1, True), ("tpu", 2, False), ("gpu", 1, False), ("cpu", 1, False)],
)
def test_forms_of_convolutions(platform, height_devices, blocks, monkeypatch):
    """Each platform has its forms; blocks of pixels are only for undivided images."""
    monkeypatch.setattr(parallel.Parallel, "platform", platform)
    e = tiny.experiment(
        {"run.height_devices": height_devices, "run.height_min_resolution": 8}
    )
    training = setup.build(e, parallel.local())
    for network in (training.generator, training.discriminator):
        assert network.winograd and network.pixel_blocks == blocks
        assert network.arithmetic.pixel_blocks == blocks
        assert network.arithmetic.fused_columns == (platform == "gpu")
    forced = setup.build(e, parallel.local(), pixel_blocks=not blocks).generator
    assert forced.winograd and forced.pixel_blocks != blocks


def test_relativistic_loss_needs_only_a_pair_of_functions(monkeypatch):
    """The generator's objective scores real images if the loss requires it."""
    relativistic = losses.AdversarialLoss(
        lambda fake, real: jax.nn.softplus(real - fake),
        lambda real, fake: jax.nn.softplus(fake - real),
        generator_scores_reals=True,
    )
    monkeypatch.setattr(losses, "adversarial_loss", lambda *_: relativistic)
    e = tiny.experiment(tiny.STYLEGAN2)
    training = setup.build(e, parallel.local())
    objectives = GANObjectives(training.generator, training.discriminator, e.training)
    rng = np.random.default_rng(0)
    state = jax.tree.map(  # random numbers, which need no program
        lambda x: rng.normal(size=x.shape).astype(x.dtype), training.abstract_state
    )
    with tiny.quick_compilation():
        key = jax.random.key(0)

        def generator_loss(params, reals):
            inputs = Inputs(
                state=state,
                reals=reals,
                labels=None,
                lod=LevelOfDetail(8),
                key=lambda stream: jax.random.fold_in(key, stream),
                shard_batch=lambda x: x,
                padded_rows=lambda rows: rows,
            )
            loss, aux = objectives.generator(params, inputs)
            return loss, aux.scalars["score_fake"]

        def real_scores(reals):
            d_params = state.params["discriminator"]
            return training.discriminator.apply({"params": d_params}, reals)

        reals = jax.random.normal(key, (1, 8, 8, 3))
        params = state.params["generator"]
        loss, fake = jax.jit(generator_loss)(params, reals)
        expected = jnp.logaddexp(0.0, jax.jit(real_scores)(reals)[0] - fake)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
