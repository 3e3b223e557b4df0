"""Metrics that need more than images: path length, separability, equivariance."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from stylegan_jax.metrics import equivariance, path_length
from stylegan_jax.metrics.context import EvalContext, EvalSpec
from stylegan_jax.metrics.path_length import Path
from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.metrics.separability import linear_separability
from stylegan_jax.runtime.image_io import rgb_on_white
from stylegan_jax.sampling import transform

MAX_TRANSLATION = 1 / 8  # fraction of the image's width and height


def measure_path_length(
    path: Path, spec: EvalSpec, context: EvalContext, count: int, name: str
) -> list[MetricValue]:
    """Measure the perceptual path length.

    Args:
      path: the kind of path.
      spec: the evaluation, of a generator.
      context: the context of the evaluation, with LPIPS.
      count: number of pairs of latents.
      name: name of the metric, for the progress line.
    """
    images, devices = spec.generated, context.devices

    def distances() -> Iterator[np.ndarray]:
        rng = np.random.RandomState(spec.seed + 2)
        share = context.batch_size // devices.process_count
        first = devices.process_index * share
        for index, (z, labels) in enumerate(images.latents(context.batch_size, 2)):
            times = path.times(context.batch_size, rng)[first : first + share]
            key = jax.random.fold_in(jax.random.key(spec.seed), index)
            ends = path_length.step_images(
                images.generator,
                path_length.with_new_noise(images.variables, key),
                *z,
                labels,
                devices.put_batch(times),
                path,
                lod=images.lod,
            )
            found = context.networks.lpips(*map(devices.local_rows, ends))
            yield np.asarray(found) / path.epsilon**2

    found = _collect(distances(), count, context, f"steps of {name}")
    kept = path_length.trim_outliers(found)
    return [MetricValue.mean(kept, epsilon=path.epsilon, kept=len(kept))]


def measure_separability(
    spec: EvalSpec, context: EvalContext, count: int, name: str
) -> list[MetricValue]:
    """Measure the linear separability of attributes in w and in z.

    Args:
      spec: the evaluation, of a generator.
      context: the context of the evaluation, with a classifier of attributes.
      count: number of images.
      name: name of the metric, for the progress line.
    """
    generated, devices = spec.generated, context.devices

    def rows() -> Iterator[dict[str, np.ndarray]]:
        latents = generated.latents(context.batch_size)
        batches = generated.batches(context.batch_size)
        for ((z,), labels), (images, _) in zip(latents, batches, strict=False):
            yield {
                "z": devices.local_rows(z),
                "w": devices.local_rows(generated.styles(z, labels)[:, 0]),
                "logits": np.asarray(context.attributes(rgb_on_white(images))),
            }

    found = _collect(rows(), count, context, f"images of {name}")
    values = []
    for space in "wz":
        score, entropies = linear_separability(found[space], found["logits"])
        details = {"conditional_entropies": entropies.tolist()}
        values.append(MetricValue(score, details=details))
    return values


def measure_equivariance(
    kind: str, spec: EvalSpec, context: EvalContext, count: int, name: str
) -> list[MetricValue]:
    """Measure the equivariance to one kind of motion, in decibels.

    All images of a batch move alike.

    Args:
      kind: "translate_whole", "translate" or "rotate".
      spec: the evaluation, of a generator that can move its images.
      context: the context of the evaluation.
      count: number of images.
      name: name of the metric, for the progress line.
    """
    generated, devices = spec.generated, context.devices

    def drawn(ws: jax.Array, matrix: np.ndarray) -> np.ndarray:
        variables = transform.moved(generated.generator, generated.variables, matrix)
        return devices.local_rows(_images(generated.generator, variables, ws))

    def rows() -> Iterator[dict[str, np.ndarray]]:
        rng = np.random.RandomState(spec.seed + 3)
        size = generated.generator.resolution
        for (z,), labels in generated.latents(context.batch_size):
            ws = generated.styles(z, labels)
            still = drawn(ws, np.eye(3))
            if kind == "rotate":
                angle = rng.uniform(-math.pi, math.pi)
                degrees = math.degrees(angle)
                moving = drawn(ws, transform.inverse_matrix(degrees=degrees))
                expected, mask = equivariance.rotate(still, angle)
                moving, seen = equivariance.pseudo_rotate(moving, angle)
                mask = mask * seen
            else:
                shift = rng.uniform(-MAX_TRANSLATION, MAX_TRANSLATION, 2)
                if kind == "translate_whole":
                    shift = np.rint(shift * size) / size
                moving = drawn(ws, transform.inverse_matrix(shift))
                expected, mask = getattr(equivariance, kind)(still, *shift)
            errors, values = equivariance.squared_error(expected, moving, mask)
            errors = np.asarray(errors, np.float64)
            yield {"errors": errors, "values": np.full(len(errors), values)}

    found = _collect(rows(), count, context, f"images of {name}")
    mean = found["errors"].sum() / found["values"].sum()
    return [MetricValue(equivariance.psnr(mean))]


@functools.partial(jax.jit, static_argnums=0)
def _images(generator, variables, ws):
    return generator.apply(variables, ws, method="synthesize")


def _collect(
    batches: Iterator[Any], count: int, context: EvalContext, description: str
) -> Any:
    """Return the first `count` rows of all processes, from batches of local rows."""
    parts = []
    for rows in batches:
        parts.append(jax.tree.map(context.devices.all_rows, rows))
        done = min(count, len(parts) * context.batch_size)
        context.show_progress(description, done, count)
        if done == count:
            break
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)
