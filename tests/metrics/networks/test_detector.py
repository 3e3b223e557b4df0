"""Detectors take any number of images, and give the same on any number of devices."""

import socket
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.metrics.networks import detectors, published
from stylegan_jax.metrics.networks.detector import (
    BatchRunner,
    Detector,
    NetworkDetector,
    rgb,
)

ROOT = Path(__file__).resolve().parents[3]


def moments(variables, images):
    """A small network: mean and weighted sum of each image."""
    x = images.astype(jnp.float32)
    pool = jnp.stack([jnp.mean(x, (1, 2, 3)), jnp.sum(x * variables["w"], (1, 2, 3))])
    return pool.T, None


def make(batch_size):
    variables = {"w": np.arange(3, dtype=np.float32)}
    return NetworkDetector(
        "moments", "0" * 64, "tf1_bilinear", 2, moments, variables, batch_size
    )


def expected(images):
    x = images.astype(np.float64)
    return np.stack([x.mean((1, 2, 3)), (x * np.arange(3)).sum((1, 2, 3))], 1)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_any_number_of_images(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 5, 7, 3), np.uint8)
    detector = make(batch_size=4)
    features = detector(images)
    assert isinstance(detector, Detector) and features.logits is None
    np.testing.assert_allclose(features.pool, expected(images), rtol=1e-5)
    assert features.pool.shape == (count, 2) and features.pool.dtype == np.float32


def test_one_program_for_every_size_of_images():
    traced = []

    def forward(variables, images):
        traced.append(images.shape)
        return moments(variables, images)

    run = BatchRunner(forward, {"w": np.ones(3, np.float32)}, 4)
    for count, size in ((9, 5), (1, 5), (4, 8), (3, 5)):
        run(np.zeros((count, size, size, 3), np.uint8))
    assert traced == [(4, 5, 5, 3), (4, 8, 8, 3)]


def test_gray_images_equal_their_rgb_form():
    gray = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 1), np.uint8)
    detector = make(batch_size=2)
    np.testing.assert_array_equal(
        detector(gray).pool, detector(np.repeat(gray, 3, 3)).pool
    )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 5, 5, 3), np.float32),
        np.zeros((5, 5, 3), np.uint8),
        np.zeros((2, 5, 5, 4), np.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"takes \[N,H,W,C\] uint8 with C 1"):
        rgb(images)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="got no images"):
        make(2)(np.zeros((0, 5, 5, 3), np.uint8))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"no detector 'fid'.*'inception'.*'vgg16'"):
        detectors.load("fid")
    kinds = (*detectors.KINDS.values(), detectors.EFFICIENTNET)
    assert {kind.weights for kind in kinds} == set(published.WEIGHTS)


def test_eight_devices_give_the_numbers_of_one():
    """In a process of its own, because a process cannot change its devices."""
    code = """
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
from tests.metrics.networks.test_detector import expected, make
images = np.random.default_rng(0).integers(0, 256, (21, 5, 7, 3), np.uint8)
assert jax.device_count() == 8
np.testing.assert_allclose(make(8)(images).pool, expected(images), rtol=1e-6)
try:
    make(12)
except ValueError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "`batch_size` (=12) must be divisible by the 8 devices" in done.stdout


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one():
    """Each process has its own images, and another number of them."""
    code = """
import sys
import numpy as np
from stylegan_jax.runtime import parallel, processes
processes.initialize(sys.argv[1], 2, int(sys.argv[2]), 30)
from tests.metrics.networks.test_detector import expected, make
images = np.random.default_rng(0).integers(0, 256, (21, 5, 7, 3), np.uint8)
images = [images[:6], images[6:]][int(sys.argv[2])]
np.testing.assert_allclose(make(2)(images).pool, expected(images), rtol=1e-6)
parallel.data_parallel().check_agreement({})
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, address, str(i)], cwd=ROOT)
        for i in (0, 1)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
