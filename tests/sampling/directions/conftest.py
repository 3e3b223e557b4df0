"""Small networks of all families, with and without classes, and their w."""

import numpy as np
import pytest

from stylegan_jax.sampling.directions.moments import w_moments
from stylegan_jax.sampling.directions.subject import Subject
from tests.networks import small

SAMPLES = 1500  # more than a batch of the mapping, and not a multiple of it


def labels_in_turn(g):
    """Return a function from the first latent and a count to labels."""
    k = len(g.classes)
    return lambda start, count: (
        np.eye(k, dtype=np.float32)[(start + np.arange(count)) % k] if k else None
    )


@pytest.fixture(
    scope="session",
    params=[
        *(("stylegan1", ()), ("stylegan2", ()), ("stylegan2", ("a", "b"))),
        ("stylegan3", ()),
    ],
    ids=["stylegan1", "stylegan2", "conditional", "stylegan3"],
)
def g(request):
    """Return a network."""
    return small.network(*request.param)


@pytest.fixture(scope="session")
def w(g):
    """Return all w of the moments, [SAMPLES,W] float64."""
    z = np.random.RandomState(0).randn(SAMPLES, 8).astype(np.float32)
    labels = labels_in_turn(g)(0, SAMPLES)
    return np.asarray(g.map(z, labels)[:, 0], np.float64)


@pytest.fixture(scope="session")
def subject(g):
    """Return the network as the methods take it."""
    moments = w_moments(g.generator, g.variables, SAMPLES, labels_in_turn(g))
    layers = tuple(range(g.generator.num_ws))
    return Subject(g.generator, g.variables, "small", moments, layers)


def at_layers(subject, *layers):
    """Return a subject whose directions are sought in some layers only."""
    import dataclasses

    return dataclasses.replace(subject, layers=layers)
