"""Metrics that ask a generator for more than its images."""

import jax
import numpy as np

from stylegan_jax.metrics import path_length, separability
from stylegan_jax.metrics.collected import on_white
from stylegan_jax.metrics.request import Asked, Means
from stylegan_jax.metrics.result import Measurement
from stylegan_jax.metrics.table import PathMetric, SeparabilityMetric


def take_path_length(
    name: str, metric: PathMetric, asked: Asked, means: Means, count: int
) -> list[Measurement]:
    """Perceptual path length over `count` pairs of latents."""
    generated, devices, path = asked.generated, means.devices, metric.path
    subject, where = generated.subject, np.random.RandomState(asked.seed + 2)
    distances = []
    for index, (z, labels) in enumerate(generated.latents(means.batch_size, 2)):
        share = len(z[0]) // devices.process_count
        first = devices.process_index * share
        times = path.times(len(z[0]), where)[first : first + share]
        key = jax.random.fold_in(jax.random.key(asked.seed), index)
        ends = path_length.step_images(
            subject.generator,
            path_length.with_new_noise(subject.variables, key),
            *z,
            labels,
            devices.put_batch(times),
            path,
            lod=subject.lod,
        )
        ends = map(devices.local_rows, ends)
        here = np.asarray(means.networks.distance(*ends)) / path.epsilon**2
        distances.append(devices.all_rows(here))
        done = min(count, (index + 1) * means.batch_size)
        means.show_progress(f"steps of {name}", done, count)
        if done == count:
            break
    kept = path_length.kept_distances(np.concatenate(distances)[:count])
    details = {"epsilon": path.epsilon, "kept": len(kept)}
    return [Measurement.mean(name, kept, **details)]


def take_separability(
    name: str, metric: SeparabilityMetric, asked: Asked, means: Means, count: int
) -> list[Measurement]:
    """Linear separability of `count` latents in w and in z."""
    del metric
    generated, devices = asked.generated, means.devices
    parts: dict[str, list[np.ndarray]] = {"z": [], "w": [], "logits": []}
    latents = generated.latents(means.batch_size)
    pictures = generated.batches(means.batch_size)
    for index, (((z,), labels), (images, _)) in enumerate(
        zip(latents, pictures, strict=False)
    ):
        w = generated.styles(z, labels)[:, 0]
        rows = {
            "z": devices.local_rows(z),
            "w": devices.local_rows(w),
            "logits": np.asarray(means.attributes(on_white(images))),
        }
        for key, value in rows.items():
            parts[key].append(devices.all_rows(value))
        done = min(count, (index + 1) * means.batch_size)
        means.show_progress(f"images of {name}", done, count)
        if done == count:
            break
    whole = {key: np.concatenate(value)[:count] for key, value in parts.items()}
    out = []
    for space in "wz":
        score, entropies = separability.linear_separability(
            whole[space], whole["logits"]
        )
        details = {"conditional_entropies": entropies.tolist()}
        out.append(Measurement(f"{name}_{space}", score, details=details))
    return out
