"""Projection of a tiny network: every step, batches, early stops, devices."""

import dataclasses
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.inversion import noise_maps, steps
from stylegan_jax.inversion.projection import Projector, Session, Settings, project
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime.image_io import as_floats
from tests import tiny
from tests.inversion.measured import measured
from tests.networks import small
from tests.parallel_runs import finish, start

pytestmark = pytest.mark.usefixtures("quick_compilation")
SETTINGS = Settings(steps=25)
DEVICES = 8


def network(family: str = "stylegan2"):
    return small.network(family)


def targets(count: int, family: str = "stylegan2", resolution: int = 16) -> np.ndarray:
    return network(family)(seeds=range(50, 50 + count), resolution=resolution)


@pytest.fixture(scope="module")
def together():
    """Projections of three targets, two at a time."""
    projector = Projector(network(), SETTINGS, "multiscale", batch_size=2)
    return project(projector, targets(3))


def assert_same(one, other, tolerance=1e-4):
    np.testing.assert_allclose(one.ws, other.ws, atol=tolerance)
    np.testing.assert_allclose(one.distance, other.distance, atol=tolerance)
    for name, x in one.maps.items():
        np.testing.assert_allclose(x, other.maps[name], atol=10 * tolerance)


def test_a_result_does_not_depend_on_its_batch(together):
    alone = Projector(network(), SETTINGS, "multiscale", batch_size=1)
    (found,) = project(alone, targets(3)[2:])
    assert_same(found, together[2])
    assert found.steps == 25 and len(found.maps) == 5
    assert found.distance < found.start_distance


def test_steps_are_those_of_the_formulas(together):
    """Twenty-five steps in NumPy, with gradients of the loss that is written out."""
    g, s = network(), SETTINGS
    projector = Projector(g, s, "multiscale", batch_size=1)
    w_avg, w_std = projector.statistics
    target = jnp.asarray(as_floats(targets(1)))
    maps = noise_maps.draw(noise_maps.shapes(g.variables, 16), s.seed, 0)
    x = {"w": w_avg[None, None], "noise": {k: v[None] for k, v in maps.items()}}

    @jax.jit
    def gradient(x, noise):
        def loss(x):
            image = g.generator.apply(
                noise_maps.replace(g.variables, x["noise"]),
                jnp.repeat(x["w"] + noise, g.generator.num_ws, axis=1),
                method="synthesize",
            )
            distance = measured(projector.distance, target, image)[0]
            return distance + 1e5 * noise_maps.regularization(x["noise"])[0]

        return jax.grad(loss)(x)

    m = v = jax.tree.map(np.zeros_like, x)
    for step in range(25):
        t = step / 25
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(303), 0), 1)
        drawn = jax.random.normal(jax.random.fold_in(key, step), (1, 8))
        scale = w_std * 0.05 * max(0.0, 1 - t / 0.75) ** 2
        dx = jax.tree.map(np.asarray, gradient(x, scale * drawn[None]))
        ramp = 0.5 - 0.5 * np.cos(np.pi * min(1.0, (1 - t) / 0.25))
        rate = 0.1 * ramp * min(1.0, t / 0.05)
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, dx)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, dx)
        first, second = 1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1)
        x = jax.tree.map(
            lambda a, b, c, rate=rate, first=first, second=second: np.float32(
                a - rate * (b / first) / (np.sqrt(c / second) + 1e-8)
            ),
            x,
            m,
            v,
        )
        for name, noise in x["noise"].items():
            noise = noise - noise.mean()
            x["noise"][name] = noise / np.sqrt(np.mean(noise**2))
    np.testing.assert_allclose(together[0].ws[0], x["w"][0, 0], atol=2e-4)
    for name, noise in x["noise"].items():
        np.testing.assert_allclose(together[0].maps[name], noise[0], atol=2e-3)


def test_early_stops_make_room_without_compiling():
    """The image of the average is found early, and the third takes its row."""
    g, settings = network(), dataclasses.replace(SETTINGS, noise="const")
    projector = Projector(g, settings, "multiscale", batch_size=2)
    mean = np.tile(projector.statistics.mean, (1, g.generator.num_ws, 1))
    goals = np.concatenate([g.synthesize(mean), targets(2)])
    without = project(projector, goals)
    compiled = steps.advance._cache_size()
    nearest = min(found.distance for found in without[1:])
    stopping = dataclasses.replace(settings, stop_distance=0.95 * nearest)
    projector = Projector(g, stopping, "multiscale", batch_size=2)
    session, calls, found = Session(projector, goals), 0, {}
    while not session.finished:
        calls += 1
        found |= session.advance()
    assert found[0].steps < 20 and found[1].steps == found[2].steps == 25
    assert calls < 6  # of ten steps each; without stops, two batches take three each
    for i in (1, 2):
        assert_same(found[i], without[i])
    assert steps.advance._cache_size() == compiled


@pytest.mark.parametrize("start", ["average", "samples", "random"])
def test_restarts_keep_the_best(start):
    settings = dataclasses.replace(
        SETTINGS, steps=10, start=start, samples=7, restarts=2, noise="const"
    )
    projector = Projector(network(), settings, "multiscale", batch_size=2)
    found = project(projector, targets(2))
    for each in found:
        assert each.distance == min(each.runs) and len(each.runs) == 2
        assert each.runs[0] != each.runs[1] and each.maps == {}
    if start == "samples":
        w = next(projector.starts(targets(1), 2))
        z = np.random.RandomState(303).randn(7, 8).astype(np.float32)
        image = network()(z, dtype="float32")
        goal = np.repeat(as_floats(targets(1)), 7, axis=0)
        order = np.argsort(measured(projector.distance, goal, image))
        expected = np.asarray(network().map(z))[order[:2], 0]
        np.testing.assert_allclose(w, expected, rtol=1e-5)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_recovery_of_adain_at_a_lower_resolution(space):
    """StyleGAN's styles, and a level of detail of a network that grows."""
    settings = Settings(space=space, steps=60, noise="const")
    projector = Projector(
        network("stylegan1"), settings, "multiscale", resolution=8, batch_size=2
    )
    for found in project(projector, targets(2, "stylegan1", 8)):
        assert found.distance < 0.35 * found.start_distance
        assert found.image.shape == (8, 8, 3)
        assert (np.ptp(found.ws, axis=0).max() > 0) == (space == "w+")


@pytest.mark.slow
def test_rectangles_with_alpha():
    changes = tiny.STYLEGAN2 | {"data.base_size": (4, 8), "data.channels": 4}
    e = tiny.experiment(changes)
    generator, _ = models.build(e.model, e.data, 0)
    variables = jax.jit(generator.init)(jax.random.key(0), np.zeros((1, 8)))
    g = Network(generator, variables, e, LevelOfDetail(8), (), 0, None)
    goals = g(seeds=[1, 2])
    assert goals.shape == (2, 8, 16, 4)
    settings = dataclasses.replace(SETTINGS, steps=60)
    for found in project(Projector(g, settings, "multiscale"), goals):
        assert found.distance < 0.5 * found.start_distance
        assert found.image.shape == (8, 16, 4)


def test_the_path_is_recorded():
    projector = Projector(network(), SETTINGS, "multiscale", batch_size=2)
    session = Session(projector, targets(1), record_path=True)
    found = {}
    while not session.finished:
        found |= session.advance()
    assert found[0].path.shape == (3, 1, 8)
    np.testing.assert_array_equal(found[0].path[-1, 0], found[0].ws[0])
    frames = list(session.frames(targets(1)[0], found[0]))
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[-1], found[0].image)


def test_wrong_targets():
    projector = Projector(network(), SETTINGS, "multiscale")
    for wrong in (
        targets(1)[..., :1],
        targets(1)[:, :8],
        targets(1) / 255,
        targets(1)[:0],
    ):
        with pytest.raises(ValueError, match=re.escape("takes [N, 16, 16, 3] uint8")):
            project(projector, wrong)
    with pytest.raises(ValueError, match="class"):
        Projector(
            small.network("stylegan2", classes=("a", "b")), SETTINGS, "multiscale"
        )


# Devices


def worker(devices: int, out: Path) -> None:
    """Project nine targets on so many devices; the last batch is not full."""
    jax.config.update("jax_num_cpu_devices", devices)
    settings = dataclasses.replace(SETTINGS, space="w+")
    projector = Projector(network(), settings, "multiscale", batch_size=8)
    found = project(projector, targets(9))
    assert len(projector.put(np.zeros((8, 1))).sharding.device_set) == devices
    np.savez(
        out,
        ws=np.stack([f.ws for f in found]),
        distances=[f.distance for f in found],
        maps=np.stack([f.maps["blocks_2/conv1/noise/const"] for f in found]),
    )


@pytest.mark.slow
def test_one_and_eight_devices_find_the_same_latents(tmp_path):
    command = [sys.executable, "-m", "tests.inversion.test_projection"]
    finish(
        [
            start([*command, str(n), str(tmp_path / f"{n}.npz")], tmp_path / f"{n}.log")
            for n in (1, DEVICES)
        ]
    )
    one, eight = (np.load(tmp_path / f"{n}.npz") for n in (1, DEVICES))
    for name in one.files:
        np.testing.assert_allclose(eight[name], one[name], atol=1e-3, err_msg=name)


if __name__ == "__main__":
    worker(int(sys.argv[1]), Path(sys.argv[2]))
