"""Accuracy of encoders, projections and drags in a trained network.

    python -m benchmarks.inversion recovery --network=smileys64
    python -m benchmarks.inversion drag --network=smileys64
    python -m benchmarks.inversion encoder --network=smileys64 --encoder=FILE
    python -m benchmarks.inversion held_out --network=smileys64

- recovery: images of the network (seeds 1000 and following), projected from different
  starts in W and W+, the seconds that this takes with compilation, the median final
  distance of each of the runs (one per restart), and the distance of the resulting w
  from those of the images. All runs but the first start from a random w.
- drag: a handle at the strongest corner of each image is dragged 8 of 64 pixels in a
  random direction. `tracked` is the final distance of the tracked point to its target;
  `matched`, which does not depend on the features, that of the position whose 7x7
  pixels are most similar to those at the handle in the first image.
- encoder: projections with the same number of steps, from the average w, the nearest of
  256 samples, and an encoder; of seeds 1000 and following, and of held-out smileys.
- held_out: held-out smileys in W and W+, and the network tuned around the latter.

Prints a row of medians for each; `--figure` draws the images.
"""

import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from scipy import ndimage

import stylegan_jax
from stylegan_jax.config import image_size
from stylegan_jax.data.sources import builtin
from stylegan_jax.inversion import encoder as encoders
from stylegan_jax.inversion import targets
from stylegan_jax.inversion.drag import Dragger, DragSettings
from stylegan_jax.inversion.projection import Projector, Settings, project
from stylegan_jax.inversion.results import write_grid
from stylegan_jax.inversion.tuning import Tuner, TuningSettings
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime import malloc

FLAGS = flags.FLAGS
DISTANCE = "multiscale"
PATCH = 3  # radius in pixels of the patches that are compared
NEAR = 2.1  # distance to a target that counts as near, in pixels of 64x64
RECOVERIES = {  # name of a row -> its settings
    "w, average": {},
    "w+, average": {"space": "w+"},
    "w, samples": {"start": "samples"},
    "w, 4 restarts": {"restarts": 4},
}


def main(argv: list[str]) -> None:
    """Run one part of the benchmark."""
    malloc.keep_freed_memory_on_cpu()
    network = stylegan_jax.load(FLAGS.network)
    parts = {
        "recovery": recovery,
        "drag": drag,
        "encoder": encoder,
        "held_out": held_out,
    }
    if argv[1:2] == [] or argv[1] not in parts:
        raise app.UsageError(f"name one of {', '.join(parts)}")
    columns = parts[argv[1]](network)
    if FLAGS.figure:
        write_grid(Path(FLAGS.figure), columns)


def held_out_images(network: Network, count: int) -> np.ndarray:
    """Return held-out smileys [N,H,W,C] uint8 of the network's size."""
    size = image_size(network.generator.base_size, network.resolution)
    channels = network.generator.image_channels
    with zipfile.ZipFile(builtin.SMILEYS) as archive:
        names = builtin.HELD_OUT.read_text().split()[:count]
        found = [targets.fitted(archive.read(n), size, channels)[0] for n in names]
    return np.stack(found)


def recovery(network: Network) -> list[tuple[np.ndarray, ...]]:
    """Project images of the network; print the distances."""
    label = 0 if network.classes else None
    z = network.z(range(1000, 1000 + FLAGS.count))
    ws = np.asarray(network.map(z, label))
    images = network.synthesize(ws)
    columns = [images]
    for name in FLAGS.rows:
        settings = Settings(steps=FLAGS.steps, noise="const", **RECOVERIES[name])
        started = time.perf_counter()
        found = project(Projector(network, settings, DISTANCE, label=label), images)
        seconds = time.perf_counter() - started
        columns.append(_print(name, found))
        runs = np.median([each.runs for each in found], axis=0)
        print(f"{'':18s} {seconds:.0f} s; median of each run {np.round(runs, 4)}")
        away = [np.linalg.norm(each.ws - w) for each, w in zip(found, ws, strict=True)]
        layers = np.sqrt(ws.shape[1])  # for the rms over layers
        away = np.median(away) / layers
        print(f"{'':18s} median distance of w {away:.2f}", flush=True)
    spread = ws[:, 0] - np.asarray(network.variables["stats"]["w_avg"])
    away = np.median(np.linalg.norm(spread, axis=1))
    print(f"median distance of the average w {away:.2f}")
    return list(zip(*columns, strict=True))


def drag(network: Network) -> list[tuple[np.ndarray, ...]]:
    """Drag a point of each image; print the distances."""
    dragger = Dragger(network, DragSettings())
    side = dragger.size[0]
    ws = np.asarray(network.map(network.z(range(2000, 2000 + FLAGS.count))))
    average = np.asarray(network.variables["stats"]["w_avg"])
    ws = average + 0.7 * (ws - average)
    rng, rows, columns = np.random.default_rng(0), [], []
    for w in ws:
        image = network.synthesize(w[None])[0]
        handle = corner(image)
        angle = rng.integers(8) * np.pi / 4
        way = np.round(side / 8 * np.array([np.cos(angle), np.sin(angle)]))
        goal = np.clip(handle + way, 0, side - 1)
        started = 0.0
        for frame in dragger.drag(w, [handle], [goal]):
            if frame.step == 0:  # compiled by now
                started = time.perf_counter()
        seconds = (time.perf_counter() - started) / max(frame.step, 1)
        found = match(image, frame.image, handle)
        matched = np.linalg.norm(found - goal)
        rows.append((frame.distances[0], matched, frame.step, 1000 * seconds))
        columns.append(
            (
                marked(image, handle, goal),
                marked(frame.image, frame.points[0], goal),
            )
        )
    names = ("tracked px", "matched px", "steps", "ms a step")
    for name, values in zip(names, np.transpose(rows), strict=True):
        print(
            f"{name:10s} median {np.median(values):6.1f}  90% "
            f"{np.quantile(values, 0.9):6.1f}  all {np.round(values, 1).tolist()}"
        )
    near = NEAR * side / 64
    for name, values in zip(names[:2], np.transpose(rows), strict=False):
        print(f"{name} at most {near:g}: {np.sum(values <= near)} of {len(ws)}")
    return columns


def corner(image: np.ndarray) -> np.ndarray:
    """Return the strongest corner (x, y) in the middle of an image."""
    gray = image.astype(float).mean(-1)
    gx, gy = ndimage.sobel(gray, 1), ndimage.sobel(gray, 0)
    a, b, c = (ndimage.gaussian_filter(p, 2) for p in (gx * gx, gx * gy, gy * gy))
    smaller = (a + c) / 2 - np.hypot((a - c) / 2, b)
    quarter = len(gray) // 4
    inner = smaller[quarter:-quarter, quarter:-quarter]
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    return np.array([x + quarter, y + quarter], float)


def match(before: np.ndarray, after: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return the point (x, y) of `after` that is most similar to a point of `before`.

    The search covers a quarter of the image around the point.
    """
    margins = [(PATCH, PATCH), (PATCH, PATCH), (0, 0)]
    a, b = (np.pad(x.astype(float), margins, mode="edge") for x in (after, before))
    x, y = point.astype(int)
    size = 2 * PATCH + 1
    patch = b[y : y + size, x : x + size]
    windows = np.lib.stride_tricks.sliding_window_view(a, (size, size), axis=(0, 1))
    difference = np.square(windows - np.moveaxis(patch, -1, 0)).sum((2, 3, 4))
    rows, columns = np.indices(difference.shape)
    far = np.hypot(columns - x, rows - y) > len(before) / 4
    difference[far] = np.inf
    j, i = np.unravel_index(difference.argmin(), difference.shape)
    return np.array([i, j], float)


def marked(image: np.ndarray, point: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Return an image, three times as large, with a red handle and a blue target."""
    large = image.repeat(3, 0).repeat(3, 1).copy()
    for (x, y), color in ((goal, (0, 60, 255)), (point, (230, 0, 0))):
        x, y = (int(3 * v + 1) for v in (x, y))
        for i, j in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            row, column = np.clip([y + j, x + i], 0, len(large) - 1)
            large[row, column, :3] = color
    return large


def encoder(network: Network) -> list[tuple[np.ndarray, ...]]:
    """Project from different starts; print the distances."""
    trained = encoders.load(FLAGS.encoder)
    sets = {
        "seeds": network(seeds=range(1000, 1000 + FLAGS.count)),
        "held out": held_out_images(network, FLAGS.count),
    }
    columns = []
    for name, images in sets.items():
        results = []
        for start in ("average", "samples", "encoder"):
            settings = Settings(steps=FLAGS.steps, noise="const", start=start)
            chosen = trained if start == "encoder" else None
            projector = Projector(network, settings, DISTANCE, encoder=chosen)
            results.append(report(f"{name}, {start}", projector, images))
        columns += zip(images, *results, strict=True)
    return columns


def held_out(network: Network) -> list[tuple[np.ndarray, ...]]:
    """Project held-out smileys, and tune; print the distances."""
    images = held_out_images(network, FLAGS.count)
    shown = [images]
    for space in ("w", "w+"):
        settings = Settings(space, steps=FLAGS.steps, noise="const")
        projector = Projector(network, settings, DISTANCE)
        found = project(projector, images)
        shown.append(_print(space, found))
    settings = TuningSettings(steps=FLAGS.steps, learning_rate=3e-3, stop_distance=0.0)
    chosen = slice(0, 8)
    ws = np.stack([each.ws for each in found])
    tuned = Tuner(network, settings, DISTANCE).tune(images[chosen], ws[chosen])
    print(
        f"tuned around {len(tuned.images)} from w+: distance "
        f"{np.median(tuned.distances_before):.4f} -> {np.median(tuned.distances):.4f}, "
        f"rms {np.median(tuned.rms_before):.4f} -> {np.median(tuned.rms):.4f} (medians)"
    )
    return list(zip(*(each[chosen] for each in shown), tuned.images, strict=True))


def report(name: str, projector: Projector, images: np.ndarray) -> np.ndarray:
    """Project images; print the medians; return the results [N,H,W,C]."""
    return _print(name, project(projector, images))


def _print(name: str, found: list[Any]) -> np.ndarray:
    values = {
        field: np.array([getattr(each, field) for each in found])
        for field in ("start_distance", "distance", "rms")
    }
    print(
        f"{name:18s} distance {np.median(values['start_distance']):.4f} -> "
        f"{np.median(values['distance']):.4f}, rms {np.median(values['rms']):.4f} "
        f"(90% {np.quantile(values['rms'], 0.9):.4f}, at most 0.1: "
        f"{np.sum(values['rms'] <= 0.1)} of {len(found)}), {found[0].steps} steps",
        flush=True,
    )
    return np.stack([each.image for each in found])


if __name__ == "__main__":
    flags.DEFINE_string("network", "smileys64", "Network, as for `project`.")
    flags.DEFINE_string("encoder", None, "File that `encoder` wrote.")
    flags.DEFINE_multi_enum(
        "rows",
        list(RECOVERIES),
        list(RECOVERIES),
        "A row of recovery; can be repeated.",
    )
    flags.DEFINE_integer("count", 20, "Number of images.", lower_bound=1)
    flags.DEFINE_integer("steps", 300, "Steps of projections and of tuning.")
    flags.DEFINE_string("figure", None, "PNG file for the images.")
    app.run(main)
