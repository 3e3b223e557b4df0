"""Speed of the input pipeline, compared with decoding alone of the same files.

    python -m benchmarks.data
    python -m benchmarks.data --images=/data/photos --resolutions=256 --json=data.json

The images are enlarged from `--images`, with a little noise like that of cameras,
because smooth PNGs decode unusually fast. They are stored as a folder of PNGs, a folder
of JPEGs, and as `prepare --multires` stores each. "Bare" is a loop on all cores that
decodes the files from memory and discards the pixels. The pipeline also reads,
shuffles, checks, batches and passes the images to Python. Both are timed several times,
alternating, and the medians are reported.
"""

import functools
import io
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from PIL import Image

from stylegan_jax import config
from stylegan_jax.data import decoding, formats, pipeline, preparation
from stylegan_jax.data import images as image_geometry
from stylegan_jax.data.interface import Source
from stylegan_jax.data.preparation.options import PrepareOptions
from stylegan_jax.data.sources import open_source
from stylegan_jax.data.sources.builtin import EMOJI
from stylegan_jax.runtime import malloc
from stylegan_jax.runtime.tensorflow import tensorflow

_IMAGES = flags.DEFINE_string("images", str(EMOJI), "Images, as `prepare --source`.")
_RESOLUTIONS = flags.DEFINE_list(
    "resolutions", ["32", "256", "1024"], "Sides in pixels."
)
_SECONDS = flags.DEFINE_float(
    "seconds", 2.0, "Duration of a measurement.", lower_bound=0.1
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements to take.", lower_bound=1)
_JSON = flags.DEFINE_string("json", None, "File to write the results to.")

KINDS = ("PNG", "JPEG")
PIXELS = 2**24  # of all images of a resolution together: 16 of 1024x1024
NOISE = 2.0  # standard deviation on the scale of 0 to 255
QUALITY = 95
SMALL = 8  # the resolution that is compared with the full one
BATCH_PIXELS = 2**21  # 2 images of 1024x1024, ...
MAX_BATCH = 64  # ... but no more images than this


def main(argv: list[str]) -> None:
    """Run the benchmark and print its table."""
    del argv
    malloc.keep_freed_memory_on_cpu()  # as `stylegan_jax.train` does
    resolutions = [int(text) for text in _RESOLUTIONS.value]
    figures = measure(_IMAGES.value, resolutions, _SECONDS.value, _ROUNDS.value)
    print(table(figures))
    if _JSON.value:
        Path(_JSON.value).write_text(json.dumps(figures, indent=2) + "\n")


def measure(
    images: str, resolutions: list[int], seconds: float, rounds: int
) -> dict[str, Any]:
    """Measure all storage forms at all resolutions."""
    rows = []
    for resolution in resolutions:
        with tempfile.TemporaryDirectory() as folder:
            rows += _measure_resolution(
                images, resolution, Path(folder), seconds, rounds
            )
    return {"cores": os.cpu_count(), "seconds": seconds, "rounds": rounds, "rows": rows}


def table(figures: dict[str, Any]) -> str:
    """Format the results as a table."""
    lines = ["resolution  form           bare images/s  pipeline images/s  share"]
    for row in figures["rows"]:
        lines.append(
            f"{row['resolution']:10d}  {row['form']:13s} {row['bare']:14.0f} "
            f"{row['pipeline']:18.0f} {row['share']:6.2f}"
        )
        if row["small"]:
            lines.append(
                f"{SMALL:10d}  of these {row['small']:37.0f}, "
                f"{row['small'] / row['pipeline']:.0f} times the full resolution's"
            )
    return "\n".join(lines)


def _measure_resolution(
    images: str, resolution: int, folder: Path, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    samples: dict[str, Callable[[], float]] = {}
    encoded = _write_folders(images, resolution, folder)
    small = resolution > SMALL
    for kind in KINDS:
        root, prepared = folder / kind, folder / f"prepared-{kind}"
        options = PrepareOptions(prepared, multires=True, workers=os.cpu_count())
        raw = formats.open_raw_dataset(str(root))
        preparation.prepare(raw, options, lambda *_: None)
        samples[f"bare {kind}"] = _bare(encoded[kind], seconds)
        for form, source, path in [
            ("folder", "folder", root),
            ("multires", "prepared", prepared),
        ]:
            data = config.Data(source=source, path=str(path), resolution=resolution)
            opened = open_source(data)
            name = f"{kind} {form}"
            samples[name] = _pipeline(opened, resolution, seconds)
            if small and form == "multires":
                samples[f"{name} small"] = _pipeline(opened, SMALL, seconds)
    found = {name: [] for name in samples}
    for _ in range(rounds):
        for name, sample in samples.items():
            found[name].append(sample())
    rates = {name: statistics.median(values) for name, values in found.items()}
    return [
        {
            "resolution": resolution,
            "form": name,
            "bare": rates[f"bare {kind}"],
            "pipeline": rates[name],
            "share": rates[name] / rates[f"bare {kind}"],
            "small": rates.get(f"{name} small"),
            "bytes_of_an_image": statistics.mean(map(len, encoded[kind])),
        }
        for kind in KINDS
        for name in (f"{kind} folder", f"{kind} multires")
    ]


def _write_folders(
    images: str, resolution: int, folder: Path
) -> dict[str, list[bytes]]:
    """Write a folder of each kind; return the contents of its files."""
    encoded = {kind: [] for kind in KINDS}
    for number, pixels in enumerate(_enlarged(images, resolution)):
        for kind, files in encoded.items():
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind, quality=QUALITY)
            files.append(file.getvalue())
            path = folder / kind / f"{number:05d}.{kind.lower()}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(file.getvalue())
    return encoded


def _enlarged(images: str, resolution: int) -> Iterator[np.ndarray]:
    """Yield noisy, enlarged images, uint8 [R, R, 3]."""
    raw = formats.open_raw_dataset(images)
    rng = np.random.default_rng(0)
    count = min(max(PIXELS // resolution**2, 16), 2000)
    for index in range(count):
        original = decoding.decode_pil(raw.read(index * 7919 % len(raw.names)))
        image = image_geometry.to_channels_pil(original, 3)
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
        noise = rng.normal(0, NOISE, (resolution, resolution, 3))
        yield np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _bare(encoded: list[bytes], seconds: float) -> Callable[[], float]:
    """Return a function that measures the images decoded per second."""
    tf = tensorflow()
    contents, loop = tf.constant(encoded), _decoding_loop()

    def sample() -> float:
        loop(
            contents, tf.constant(os.cpu_count(), tf.int64)
        )  # traces the program at the first call
        count = len(encoded)
        while True:
            begin = time.perf_counter()
            loop(contents, tf.constant(count, tf.int64))
            taken = time.perf_counter() - begin
            if taken > seconds / 2:
                return count / taken
            count = int(count * max(2, seconds / taken))

    return sample


@functools.cache
def _decoding_loop() -> Callable[[Any, Any], Any]:
    """Return a program: (contents of files, number of images to decode) -> number."""
    tf = tensorflow()

    def decode(content: Any) -> Any:
        return tf.io.decode_image(content, 3, expand_animations=False)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int64)]
    )
    def loop(contents: Any, count: Any) -> Any:
        return (
            tf.data.Dataset.from_tensor_slices(contents)
            .repeat()
            .take(count)
            .map(decode, num_parallel_calls=os.cpu_count(), deterministic=False)
            .reduce(tf.constant(0, tf.int64), lambda total, _: total + 1)
        )

    return loop


def _pipeline(source: Source, resolution: int, seconds: float) -> Callable[[], float]:
    """Return a function that measures images per second, as received in Python."""
    size = min(max(BATCH_PIXELS // resolution**2, 1), MAX_BATCH)
    batches = pipeline.batches(
        source,
        resolution=resolution,
        batch_size=size,
        start_images=0,
        seed=0,
        process_index=0,
        process_count=1,
        prefetch_batches=config.Data().prefetch_batches,
    )

    def sample() -> float:
        # Discard the batches that were prefetched during other measurements.
        for _ in itertools.islice(batches, 8 + 2 * (os.cpu_count() or 1)):
            pass
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            count += len(next(batches)[0])
        return count / (time.perf_counter() - begin)

    return sample


if __name__ == "__main__":
    app.run(main)
