"""Speed of the official PyTorch code, for comparison in `benchmarks.accelerator`."""

import re
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from PIL import Image


class Skipped(Exception):
    """A job has nothing to do; the message is the reason."""


def official(tiny: bool) -> dict[str, Any]:
    """Train with the official PyTorch code in the setting of `accelerator_speed`."""
    if flags.FLAGS.official is None:
        raise Skipped("--official names no checkout of the official code")
    folder = Path(flags.FLAGS.official).resolve()
    if not (folder / "train.py").exists():
        raise FileNotFoundError(f"--official (={folder}) has no train.py")
    resolution, count = (16, 64) if tiny else (256, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "noise.zip"
        _noise_images(data, resolution, count)
        common = [f"--outdir={temporary}", f"--data={data}", "--gpus=1", "--gamma=1"]
        common += ["--batch=64", "--aug=noaug", "--metrics=none", "--snap=1000"]
        if (folder / "torch_utils" / "ops" / "filtered_lrelu.py").exists():
            own = ["--cfg=stylegan2", "--cbase=16384", "--map-depth=2"]
            own += ["--kimg=8", "--tick=2"]
        else:
            own = ["--cfg=paper256", "--kimg=8"]
        done = subprocess.run(
            [sys.executable, "train.py", *common, *own],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
    ticks = re.findall(r"sec/kimg (\d+\.?\d*)", done.stdout)
    if done.returncode or len(ticks) < 2:
        raise RuntimeError(
            f"train.py ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    # The first tick includes the startup.
    seconds = statistics.median(map(float, ticks[1:]))
    return {
        "seconds_per_kimg": seconds,
        "images_per_second": 1000 / seconds,
        "plugins_failed": "Failed" in done.stdout + done.stderr,
    }


def _noise_images(path: Path, resolution: int, count: int) -> None:
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            pixels = rng.integers(0, 256, (resolution, resolution, 3), np.uint8)
            with archive.open(f"img{i:08d}.png", "w") as file:
                Image.fromarray(pixels).save(file, "PNG", compress_level=1)
