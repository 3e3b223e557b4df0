"""Speed of the input pipeline, next to that of decoding the same files and no more.

    python -m benchmarks.data
    python -m benchmarks.data --images=/data/photos --resolutions=256 --json=data.json

Images are enlarged from `--images`, with a little noise as cameras have it, since PNGs
of smooth images are unusually quick. They are kept as a folder of PNGs, a folder of
JPEGs, and what `prepare --multires` makes of each. "Bare" is a loop on all cores that
decodes the files' content, in memory, and drops the pixels. The pipeline also reads,
shuffles, checks, batches and hands over to Python. They are timed in turn, several
times; medians count.
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
from stylegan_jax.data import formats, pipeline, preparation
from stylegan_jax.data.interface import Source
from stylegan_jax.data.preparation import transform
from stylegan_jax.data.preparation.request import Request
from stylegan_jax.data.sources import EMOJI, open_source
from stylegan_jax.runtime import malloc
from stylegan_jax.runtime.tensorflow import tensorflow

_IMAGES = flags.DEFINE_string("images", str(EMOJI), "A source as `prepare` takes it.")
_RESOLUTIONS = flags.DEFINE_list("resolutions", ["32", "256", "1024"], "Sides.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Of one measurement.", lower_bound=0.1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements of each.", lower_bound=1)
_JSON = flags.DEFINE_string("json", None, "File for the figures.")

PIXELS = 2**24  # of all images of a resolution: 16 of 1024x1024
NOISE = 2.0  # standard deviation, of 255
QUALITY = 95
SMALL = 8  # the stage that is compared with the full resolution
BATCH_PIXELS = 2**21  # 2 images of 1024x1024, ...
MAX_BATCH = 64  # ... but no more images than this


def main(argv: list[str]) -> None:
    """Measures what the flags ask for."""
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
    """All forms at all resolutions."""
    rows = []
    for resolution in resolutions:
        with tempfile.TemporaryDirectory() as folder:
            rows += _measure_resolution(
                images, resolution, Path(folder), seconds, rounds
            )
    return {"cores": os.cpu_count(), "seconds": seconds, "rounds": rounds, "rows": rows}


def table(figures: dict[str, Any]) -> str:
    """The figures to read."""
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
    originals = {"PNG": folder / "png", "JPEG": folder / "jpeg"}
    encoded = {kind: [] for kind in originals}
    for number, pixels in enumerate(_enlarged(images, resolution)):
        for kind, root in originals.items():
            root.mkdir(exist_ok=True)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind, quality=QUALITY)
            encoded[kind].append(file.getvalue())
            (root / f"{number:05d}.{kind.lower()}").write_bytes(file.getvalue())
    samples: dict[str, Callable[[], float]] = {}
    small = resolution > SMALL
    for kind, root in originals.items():
        prepared = folder / f"prepared-{kind}"
        request = Request(prepared, multires=True, workers=os.cpu_count())
        preparation.prepare(
            formats.open_collection(str(root)), request, lambda *_: None
        )
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
        for kind in originals
        for name in (f"{kind} folder", f"{kind} multires")
    ]


def _enlarged(images: str, resolution: int) -> Iterator[np.ndarray]:
    """Uint8 [R, R, 3]."""
    opened = formats.open_collection(images)
    rng = np.random.default_rng(0)
    count = min(max(PIXELS // resolution**2, 16), 2000)
    for index in range(count):
        original = transform.decode(opened.read(index * 7919 % len(opened.names)))
        image = transform.to_channels(original, 3)
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
        noise = rng.normal(0, NOISE, (resolution, resolution, 3))
        yield np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _bare(encoded: list[bytes], seconds: float) -> Callable[[], float]:
    """A function that measures images decoded a second."""
    tf = tensorflow()
    contents, loop = tf.constant(encoded), _decoding_loop()

    def sample() -> float:
        loop(contents, tf.constant(os.cpu_count(), tf.int64))  # may have to be traced
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
    """(files' contents, how many to decode, again and again) -> that number."""
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
    """A function that measures images a second that arrive in Python."""
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
        # What was made while others were measured is not to count.
        for _ in itertools.islice(batches, 8 + 2 * (os.cpu_count() or 1)):
            pass
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            count += len(next(batches)[0])
        return count / (time.perf_counter() - begin)

    return sample


if __name__ == "__main__":
    app.run(main)
