"""The weights and pictures behind the goldens of the metric networks.

Own code for what the goldens' README states: a tensor is a function of seed, name,
shape and kind alone. The files list how the SHA-256 of each begins.
"""

import hashlib
import json
import math
import zlib

import numpy as np

from tests import goldens


def document(name: str) -> dict:
    """Return the JSON of a golden."""
    return json.loads(goldens.path(name).read_text())


def uniform(seed: int, key: str, shape) -> np.ndarray:
    entropy = np.random.SeedSequence([seed, zlib.crc32(key.encode())])
    rng = np.random.Generator(np.random.PCG64(entropy))
    return (2.0 * rng.random(math.prod(shape)) - 1.0).reshape(shape)


def tensor(seed: int, key: str, shape, kind: str) -> np.ndarray:
    u = uniform(seed, key, shape)
    if kind == "conv":  # filters that sum to zero
        u *= math.sqrt(6 / math.prod(shape[1:]))
        half = shape[1] // 2
        if shape[1] % 2 == 0:
            u[:, half:] = -u[:, :half]
        return u.astype(np.float32)
    offset, scale = {
        "bn_gamma": (1.0, 0.5),
        "bn_beta": (0.0, 0.3),
        "bn_mean": (0.0, 0.3),
        "bn_var": (1.0, 0.6),
        "logit_weight": (0.0, math.sqrt(54 / 2048)),
        "logit_bias": (0.0, 1.0),
        "linear": (0.0, math.sqrt(6 / shape[-1])),
        "bias": (0.0, 0.25),
    }[kind]
    return (u * scale + offset).astype(np.float32)


def tensors(name: str, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the tensors of a network with that prefix, after checks of a few."""
    facts = document(f"metrics/{name}.json")
    rows = [row for row in facts["tensors"] if row[0].startswith(prefix)]
    arrays = {
        key: tensor(facts["seed"], key, shape, kind) for key, shape, kind, _ in rows
    }
    for key, *_, digest in rows[:: max(1, len(rows) // 20)]:
        assert hashlib.sha256(arrays[key].tobytes()).hexdigest().startswith(digest), key
    return arrays


def pattern(height: int, width: int, seed: int) -> np.ndarray:
    """Return a picture [height,width,3] uint8, computed in integers."""
    y, x = np.mgrid[:height, :width]
    cell = max(2, min(height, width) // (6 + seed % 4))
    checks = (x // cell + y // (cell + 1)) % 2 * 140
    centre_x, centre_y = width * (2 + seed % 3) // 6, height * (3 - seed % 2) // 6
    ring_width = max(1, height * width // (700 + 97 * (seed % 5)))
    rings = ((x - centre_x) ** 2 + (y - centre_y) ** 2) // ring_width & 255
    ramp_x, ramp_y = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    mixed = (x * 73856093) ^ (y * 19349663) ^ (seed * 83492791)
    noise = np.where((x < width // 3) & (y > height // 2), mixed >> 5 & 63, 0)
    a, b, c = 3 + seed % 5, 2 + seed % 7, 5 + seed % 11
    waves = a * x * 256 // width + b * y * 256 // height + x * y * c // (height + width)
    channels = (
        (ramp_x + checks) // 2 + noise,
        (rings + ramp_y) // 2 + noise // 2,
        waves & 255,
    )
    return np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)


def pictures(facts: dict, names: list[str]) -> np.ndarray:
    """Return pictures of one size from a golden's JSON: [N,H,W,3]."""
    images = []
    for name in names:
        entry = facts["images"][name]
        image = pattern(*entry["hw"], entry["pattern_seed"])
        assert hashlib.sha256(image.tobytes()).hexdigest().startswith(entry["sha"])
        images.append(image)
    return np.stack(images)
