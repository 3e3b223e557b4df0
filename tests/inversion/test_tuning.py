"""Pivotal tuning of a tiny network."""

import dataclasses
import re

import jax
import numpy as np
import optax
import pytest
from flax import traverse_util

from stylegan_jax.inversion import distances, tuning_steps
from stylegan_jax.inversion.tuning import Tuner, TuningSettings
from stylegan_jax.inversion.tuning_steps import Locality
from stylegan_jax.networks.network import Network
from tests.inversion.measured import measured
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")
SETTINGS = TuningSettings(steps=6, learning_rate=3e-3, stop_distance=0.0)


def example(family: str = "stylegan2") -> tuple[Network, np.ndarray, np.ndarray]:
    """Return a network, two targets, and pivots that are not theirs."""
    g = small.network(family)
    return g, g(seeds=[50, 51]), np.asarray(g.map(g.z([60, 61])))


def flat(network: Network) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(jax.device_get(network.variables), sep="/")


@pytest.fixture(scope="module")
def tuned():
    g, targets, ws = example()
    return Tuner(g, SETTINGS, "multiscale").tune(targets, ws)


def test_only_the_synthesis_is_tuned(tuned):
    g, targets, ws = example()
    before, after = flat(g), flat(tuned.network)
    changed = {name for name in after if np.any(after[name] != before[name])}
    assert changed == {
        name for name in after if name.startswith("params/") and "mapping" not in name
    }
    assert tuned.steps == tuned.chosen_step == 6
    assert np.all(tuned.distances < tuned.distances_before)
    # Two programs, which may round a level differently.
    again = tuned.network.synthesize(ws).astype(int)
    assert np.abs(again - tuned.images).max() <= 1
    shown = tuned.images / np.float32(127.5) - targets / np.float32(127.5)
    rms = np.sqrt(np.mean(np.square(shown), (1, 2, 3)))
    np.testing.assert_allclose(tuned.rms, rms, atol=0.01)


def test_steps_are_adams(tuned):
    """The objective is written out, and optax makes the steps."""
    g, targets, ws = example()
    params = {k: v for k, v in g.variables["params"].items() if k != "mapping"}
    goal = targets / np.float32(127.5) - 1
    distance = Tuner(g, SETTINGS, "multiscale").distance

    @jax.jit
    def gradient(params):
        def loss(params):
            variables = {
                **g.variables,
                "params": {**g.variables["params"], **params},
            }
            image = g.generator.apply(variables, ws, method="synthesize")
            beyond = (abs(goal) == 1) & (image * goal > 1)
            squares = jax.numpy.mean(~beyond * (image - goal) ** 2, (1, 2, 3))
            return jax.numpy.mean(squares + measured(distance, goal, image))

        return jax.grad(loss)(params)

    adam = optax.adam(3e-3)
    state = adam.init(params)
    for _ in range(6):
        updates, state = adam.update(gradient(params), state)
        params = optax.apply_updates(params, updates)
    expected = traverse_util.flatten_dict({"params": params}, sep="/")
    after = flat(tuned.network)
    for name, value in expected.items():
        # Adam makes whole steps of gradients that are rounding alone.
        np.testing.assert_allclose(after[name], value, atol=4e-3, err_msg=name)
        assert np.mean(np.abs(after[name] - value)) < 1e-3, name


def test_what_files_cannot_show_is_no_difference():
    """Pixels of the target at 1 or -1 are matched by anything beyond."""
    g, _, ws = example()
    images = g.synthesize(ws, dtype="float32")
    assert np.abs(images).max() > 1.1
    targets = g.synthesize(ws)
    found = Tuner(g, SETTINGS, "multiscale").tune(targets, ws)
    assert np.all(found.rms_before < 0.005)
    assert np.all(found.rms <= found.rms_before)
    goal = targets / np.float32(127.5) - 1
    residual = np.asarray(distances.residual(goal, images))
    assert np.abs(residual).max() < 0.01


def test_batches_in_turn_and_stops():
    g, targets, ws = example()
    tuner = Tuner(g, SETTINGS, "multiscale", batch_size=1)
    found = tuner.tune(targets, ws)
    assert found.steps == 2 * 6
    assert np.mean(found.distances) < np.mean(found.distances_before)
    for changes in ({"stop_distance": 9.0}, {"stop_rms": 9.0}):
        tuner = Tuner(g, dataclasses.replace(SETTINGS, **changes), "multiscale")
        assert tuner.tune(targets, ws).steps == 0
    assert Tuner(g, TuningSettings(), "multiscale").stop_distance == 0.02


def test_the_nearest_network_is_kept():
    """Steps that are far too long lead away from a pivot that is nearly reached."""
    g = small.network("stylegan2")
    ws = np.asarray(g.map(g.z([50, 51])))
    targets = np.clip(g.synthesize(ws).astype(int) + [0, 0, 1], 0, 255).astype(np.uint8)
    settings = dataclasses.replace(SETTINGS, learning_rate=0.3)
    for batch_size in (2, 1):
        tuner = Tuner(g, settings, "multiscale", batch_size=batch_size)
        found = tuner.tune(targets, ws)
        assert found.chosen_step == 0 < found.steps
        np.testing.assert_array_equal(found.distances, found.distances_before)
        after = flat(found.network)
        for name, value in flat(g).items():
            np.testing.assert_array_equal(after[name], value, err_msg=name)
    found = Tuner(g, SETTINGS, "multiscale").tune(targets, ws[::-1])
    assert found.chosen_step > 0


@pytest.mark.slow
def test_locality(tuned):
    """The loss is written out, and its gradient changes the result."""
    g, targets, ws = example()
    settings = dataclasses.replace(SETTINGS, locality=True, locality_radius=2.0)
    tuner = Tuner(g, settings, "multiscale")
    z = g.z([7])
    locality = Locality(np.int32(0), z, None, np.float32(2), g.variables)
    loss = tuning_steps.locality_loss(
        tuner._static, None, g.lod, tuned.network.variables, ws[:1], locality
    )
    direction = np.asarray(g.map(z)) - ws[:1]
    near = ws[:1] + 2 * direction / np.linalg.norm(direction)
    before, after = (n.synthesize(near, dtype="float32") for n in (g, tuned.network))
    distance = measured(tuner.distance, before, after)[0]
    expected = 0.1 * (np.mean((after - before) ** 2) + distance)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    found = tuner.tune(targets, ws)
    assert np.all(found.distances < found.distances_before)
    after, without = flat(found.network), flat(tuned.network)
    assert any(np.any(after[name] != without[name]) for name in after)


def test_wrong_input():
    g, targets, ws = example()
    with pytest.raises(ValueError, match=re.escape("takes [N, 6, 8]")):
        Tuner(g, SETTINGS, "multiscale").tune(targets, ws[:, :5])
    with pytest.raises(ValueError, match="there are 1 ws for 2 targets; give one for"):
        Tuner(g, SETTINGS, "multiscale").tune(targets, ws[:1])
    for wrong in (targets[:, :8], targets / 255, targets[:0]):
        with pytest.raises(ValueError, match=re.escape("takes [N, 16, 16, 3] uint8")):
            Tuner(g, SETTINGS, "multiscale").tune(wrong, ws[: len(wrong)])
    for wrong in ({"steps": 0}, {"stop_rms": -1.0}, {"noise": "random"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} "):
            TuningSettings(**wrong)
