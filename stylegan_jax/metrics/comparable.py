"""Which results of a metric compare with each other, and how to tell others apart."""

from typing import Any

Way = tuple[str | None, ...]  # to take a metric: the values of WAY, as text

# Field of a result that makes the number another one -> how it is told. Not the seed,
# nor the size of the batch: their numbers are samples of the same.
WAY = {
    "images_generated": "{} images",
    "images_real": "{} reals",
    "truncation_psi": "psi {}",
    "noise": "noise {}",
    "label_source": "labels {}",
    "dtype": "{}",
    "detector": "{}",
    "detector_digest": "weights {:.12}",
    "resize": "resize {}",
    "dataset_fingerprint": "data {:.12}",
    "dataset_fit": "fit {}",
    "dataset_mirrored": "mirrored {}",
    "size": "size {}",
}


def way(row: dict[str, Any]) -> Way:
    """How the metric of a line of `metrics.jsonl` was taken; hashable."""
    values = (row.get(name) for name in WAY)
    return tuple(None if value is None else _text(value) for value in values)


def told_apart(ways: list[Way]) -> list[str]:
    """A name for each: images, psi if it is not 1, and what the ways differ in."""
    rows = [dict(zip(WAY, values, strict=True)) for values in ways]
    told = {name for name in WAY if len({row[name] for row in rows}) > 1}
    told.add("images_generated")
    names = []
    for row in rows:
        also = {"truncation_psi"} if row["truncation_psi"] != "1" else set()
        texts = [
            text.format(row[name])
            for name, text in WAY.items()
            if name in told | also and row[name] is not None
        ]
        names.append(", ".join(texts))
    return names


def _text(value: Any) -> str:
    if isinstance(value, list):  # height and width
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
