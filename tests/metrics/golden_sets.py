"""The inputs of the metrics' golden numbers, functions of seeds (see their README)."""

import hashlib
import json
import zlib

import numpy as np

from tests import goldens

SEED = 7


def cases(metric: str) -> dict:
    """The cases of a metric, as metrics.json has them."""
    return json.loads(goldens.path("metrics/metrics.json").read_text())[metric]


def uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float64 in [-1, 1)."""
    sequence = np.random.SeedSequence([SEED, zlib.crc32(key.encode())])
    draws = np.random.Generator(np.random.PCG64(sequence)).random(int(np.prod(shape)))
    return (2.0 * draws - 1.0).reshape(shape)


def features(spec: dict, sha: str | None = None) -> np.ndarray:
    """A set of features, float32; `sha` is what its bytes must have."""
    name, n, d = spec["name"], spec["n"], spec["d"]
    z = uniform(name + "/0", (n, d)) + uniform(name + "/1", (n, d))
    z = z + uniform(name + "/2", (n, d))
    s = spec.get("scale", 1.0) * (0.5 + (np.arange(d) % 7) / 7.0)
    y = (z + 0.7 * np.roll(z, 1, axis=1)) * s
    y = y + spec.get("shift", 0.0) * uniform(f"dir/{d}", (d,))
    y[:, : spec.get("const_dims", 0)] = 0.25
    if spec.get("relu"):
        y = np.maximum(y, 0.0)
    return checked(y.astype(np.float32), sha)


def logits(spec: dict, sha: str) -> np.ndarray:
    """Logits of the Inception Score's cases, float32."""
    n, c = spec["n"], spec["c"]
    y = spec["gain"] * uniform(spec["name"] + "/logits", (n, c))
    y[np.arange(n), 9 * np.arange(n) % 10] += spec["cls"]
    return checked(y.astype(np.float32), sha)


def images(spec: dict, n: int, h: int, w: int, sha: str | None = None) -> np.ndarray:
    """Pictures [n,h,w,3] uint8."""
    out = np.stack([_pattern(h, w, spec["seed"] + 3 * i) for i in range(n)])
    out = out.astype(np.int64)
    for i in range(n):
        out[i] = np.roll(out[i], (5 * i, 3 * i), (0, 1)) * spec["lum"] // 8
    return checked(np.clip(out, 0, 255).astype(np.uint8), sha)


def checked(array: np.ndarray, sha: str | None) -> np.ndarray:
    if sha is not None:
        assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == sha
    return array


def _pattern(h: int, w: int, s: int) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    a, b, c = 3 + s % 5, 2 + s % 7, 5 + s % 11
    cell = max(2, min(h, w) // (6 + s % 4))
    cx, cy = (w * (2 + s % 3)) // 6, (h * (3 - s % 2)) // 6
    k = max(1, (h * w) // (700 + 97 * (s % 5)))
    check = ((x // cell + y // (cell + 1)) % 2) * 140
    ring = (((x - cx) ** 2 + (y - cy) ** 2) // k) & 255
    ramp_x, ramp_y = (x * 255) // max(1, w - 1), (y * 255) // max(1, h - 1)
    mixed = (x * 73856093) ^ (y * 19349663) ^ (s * 83492791)
    noise = np.where((x < w // 3) & (y > h // 2), (mixed >> 5) & 63, 0)
    red = (ramp_x + check) // 2 + noise
    green = (ring + ramp_y) // 2 + noise // 2
    blue = ((a * x * 256) // w + (b * y * 256) // h + (x * y * c) // (h + w)) & 255
    return np.stack([np.clip(v, 0, 255) for v in (red, green, blue)], -1)
