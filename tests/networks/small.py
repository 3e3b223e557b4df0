"""Untrained networks that are small enough for tests, with distinct noise strengths."""

import functools

import jax
import numpy as np
from flax import traverse_util

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks.network import Network
from stylegan_jax.sampling.directions import affines
from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.sampling.directions.moments import w_moments
from stylegan_jax.sampling.directions.subject import Subject
from tests import tiny


@functools.cache
def network(
    family: str = "stylegan1", classes: tuple[str, ...] = (), channels: int = 3
) -> Network:
    """Return a network of 16x16 with random parameters, w_avg and noise strengths."""
    changes = {"data.conditional": bool(classes), "data.channels": channels}
    if family == "stylegan2":
        changes |= tiny.STYLEGAN2 | {"data.resolution": 16}
    if family == "stylegan3":
        # Six styles, as the others have.
        changes |= tiny.STYLEGAN3 | {"data.resolution": 16, "model.num_layers": 4}
    e = tiny.experiment(changes)
    generator, _ = models.build(e.model, e.data, len(classes))
    labels = np.zeros((1, len(classes)), np.float32) if classes else None
    init = jax.jit(generator.init)
    variables = init(jax.random.key(0), np.zeros((1, 8), np.float32), labels)
    flat = traverse_util.flatten_dict(jax.device_get(variables))
    rng = np.random.default_rng(0)
    for path, value in flat.items():
        starts_at_zero = path[1:3] == ("input", "affine") and path[-1] == "weight"
        if starts_at_zero or path[-1] in ("strength", "w_avg", "label_embedding"):
            flat[path] = rng.normal(0, 0.3, value.shape).astype(np.float32)
    return Network(
        generator=generator,
        variables=jax.device_put(traverse_util.unflatten_dict(flat)),
        experiment=e,
        lod=LevelOfDetail(16),
        classes=classes,
        checkpoint=3000,
        step=375,
        reference="small",
    )


def directions() -> list[Direction]:
    """Return a direction of w and one of styles of the conditional StyleGAN2."""
    g = network("stylegan2", ("a", "b"))
    moments = w_moments(
        g.generator, g.variables, 50, lambda start, count: g.label("a", count)
    )
    subject = Subject(g.generator, g.variables, "small", moments, tuple(range(6)))
    unit = np.eye(affines.channels(g.generator, g.variables, 1))[4]
    return [
        subject.in_w("turn", "difference", np.arange(8) - 2.5),
        subject.in_styles("blink", 1, unit, 2.0),
    ]
