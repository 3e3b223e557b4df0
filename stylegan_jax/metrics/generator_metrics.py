"""Metrics that ask a generator for more than images: path length, separability."""

import jax
import numpy as np

from stylegan_jax.metrics import path_length, separability
from stylegan_jax.metrics.context import EvalContext, EvalSpec
from stylegan_jax.metrics.path_length import Path
from stylegan_jax.metrics.results import MetricValue
from stylegan_jax.runtime.image_io import rgb_on_white


def measure_path_length(
    path: Path, spec: EvalSpec, context: EvalContext, count: int, name: str
) -> list[MetricValue]:
    """Measure the perceptual path length over `count` pairs of latents.

    Args:
      path: the kind of path.
      spec: what is evaluated.
      context: what it is evaluated with.
      count: number of pairs.
      name: name of the metric, for the progress line.
    """
    generated, devices = spec.generated, context.devices
    subject, rng = generated.subject, np.random.RandomState(spec.seed + 2)
    distances = []
    for index, (z, labels) in enumerate(generated.latents(context.batch_size, 2)):
        share = len(z[0]) // devices.process_count
        first = devices.process_index * share
        times = path.times(len(z[0]), rng)[first : first + share]
        key = jax.random.fold_in(jax.random.key(spec.seed), index)
        ends = path_length.step_images(
            subject.generator,
            path_length.with_new_noise(subject.variables, key),
            *z,
            labels,
            devices.put_batch(times),
            path,
            lod=subject.lod,
        )
        local = context.networks.lpips(*map(devices.local_rows, ends))
        distances.append(devices.all_rows(np.asarray(local) / path.epsilon**2))
        done = min(count, (index + 1) * context.batch_size)
        context.show_progress(f"steps of {name}", done, count)
        if done == count:
            break
    kept = path_length.trim_outliers(np.concatenate(distances)[:count])
    return [MetricValue.mean(kept, epsilon=path.epsilon, kept=len(kept))]


def measure_separability(
    spec: EvalSpec, context: EvalContext, count: int, name: str
) -> list[MetricValue]:
    """Measure the linear separability of `count` latents in w and in z.

    Args:
      spec: what is evaluated.
      context: what it is evaluated with.
      count: number of images.
      name: name of the metric, for the progress line.
    """
    generated, devices = spec.generated, context.devices
    parts: dict[str, list[np.ndarray]] = {"z": [], "w": [], "logits": []}
    latents = generated.latents(context.batch_size)
    batches = generated.batches(context.batch_size)
    for index, (((z,), labels), (images, _)) in enumerate(
        zip(latents, batches, strict=False)
    ):
        rows = {
            "z": devices.local_rows(z),
            "w": devices.local_rows(generated.styles(z, labels)[:, 0]),
            "logits": np.asarray(context.attributes(rgb_on_white(images))),
        }
        for key, value in rows.items():
            parts[key].append(devices.all_rows(value))
        done = min(count, (index + 1) * context.batch_size)
        context.show_progress(f"images of {name}", done, count)
        if done == count:
            break
    arrays = {key: np.concatenate(value)[:count] for key, value in parts.items()}
    values = []
    for space in "wz":
        score, entropies = separability.linear_separability(
            arrays[space], arrays["logits"]
        )
        details = {"conditional_entropies": entropies.tolist()}
        values.append(MetricValue(score, details=details))
    return values
