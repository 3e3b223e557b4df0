"""Access to the golden files: inputs, weights and outputs of the official networks.

Where the project is developed, `../shared/golden` holds all of them. The repository
contains the subset in `tests/golden`, so that the tests compare with the official
numbers on every machine. A test whose file is in neither place is skipped.
"""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT.parent / "shared" / "golden", ROOT / "tests" / "golden")


def path(name: str) -> Path:
    """Return the path of e.g. `stylegan1/ops.npz`; skip the test if it is missing."""
    for folder in FOLDERS:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"golden file {name} is neither in {FOLDERS[0]} nor in tests/golden")


def arrays(name: str) -> dict[str, np.ndarray]:
    """Load all arrays of an .npz file."""
    with np.load(path(name)) as data:
        return dict(data)


def settings(name: str) -> dict:
    """Return the official arguments that a file was made with, from the manifest."""
    manifest = json.loads(path("stylegan1/manifest.json").read_text())
    return manifest[Path(name).name]["settings"]


def below(data: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `prefix`, and strip it."""
    return {k[len(prefix) :]: v for k, v in data.items() if k.startswith(prefix)}


def assert_close(actual, desired, tolerance: float, name: str = "") -> None:
    """Compare the largest difference with the rms, as the goldens' README asks."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape, (name, actual.shape, desired.shape)
    rms = float(np.sqrt(np.mean(np.square(desired, dtype=np.float64))))
    worst = float(np.max(np.abs(actual - desired))) if desired.size else 0.0
    assert worst <= tolerance * rms, (
        f"{name}: largest difference {worst:.3g} is {worst / max(rms, 1e-30):.3g} of "
        f"the rms {rms:.3g}; allowed {tolerance}"
    )


def nhwc(images: np.ndarray) -> np.ndarray:
    """Transpose NCHW images, as the goldens store them, to NHWC."""
    return images.transpose(0, 2, 3, 1)
