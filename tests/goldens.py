"""Finds the golden files: the official networks' inputs, weights and outputs.

`../shared/golden` holds all of them where the project is developed; the subset in
`tests/golden` travels with the repository, so that a newcomer's tests are held to
the official numbers too. A file found in neither place skips its test.
"""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT.parent / "shared" / "golden", ROOT / "tests" / "golden")


def path(name: str) -> Path:
    """The path of e.g. `stylegan1/ops.npz`; skips the test when it is nowhere."""
    for folder in FOLDERS:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"golden file {name} is neither in {FOLDERS[0]} nor in tests/golden")


def arrays(name: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file."""
    with np.load(path(name)) as data:
        return dict(data)


def settings(name: str) -> dict:
    """What the manifest says of the file: the official arguments that made it."""
    manifest = json.loads(path("stylegan1/manifest.json").read_text())
    return manifest[Path(name).name]["settings"]


def below(data: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {k[len(prefix) :]: v for k, v in data.items() if k.startswith(prefix)}


def assert_close(actual, desired, tolerance: float, name: str = "") -> None:
    """Largest difference relative to the array's rms, as the goldens' README asks."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape, (name, actual.shape, desired.shape)
    rms = float(np.sqrt(np.mean(np.square(desired, dtype=np.float64))))
    worst = float(np.max(np.abs(actual - desired))) if desired.size else 0.0
    assert worst <= tolerance * rms, (
        f"{name}: largest difference {worst:.3g} is {worst / max(rms, 1e-30):.3g} of "
        f"the rms {rms:.3g}; allowed {tolerance}"
    )


def nhwc(images: np.ndarray) -> np.ndarray:
    """NCHW, as the goldens store images, to our NHWC."""
    return images.transpose(0, 2, 3, 1)
