"""Time from a click in the page of `stylegan_jax.explore` to the new pixels.

    python -m benchmarks.explore --network=smileys64

Starts the explorer and a headless Chromium on this machine, and clicks on a seed
button, a layer of style mixing, the latent pad and the slider of psi in turn. The time
is measured from the click event, by the browser's clock, to the frame after the one in
which the canvas has changed, when the new pixels are on the screen; a frame takes about
17 ms. Needs the extras `explore` and `browser`, and a Chromium.
"""

import contextlib
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from tests import chromium

FLAGS = flags.FLAGS
PAUSE_MILLISECONDS = 100  # between an image and the next click
CONTROLS = ("#random", "#layer-0", "#pad", "#psi")

MEASURE = """
() => {
  const canvas = document.getElementById('picture');
  const pixels = () => {
    const context = canvas.getContext('2d', { willReadFrequently: true });
    return context.getImageData(0, 0, canvas.width, canvas.height).data.join();
  };
  window.times = [];
  window.measured = (count) => new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('the pixels did not change in 30 s')), 30000);
    const look = () => {
      if (window.times.length >= count) resolve(); else requestAnimationFrame(look);
    };
    look();
  });
  let waiting = false;
  const begin = (event) => {
    if (waiting) return;
    waiting = true;
    const before = pixels();
    const look = () => {
      if (pixels() === before) { requestAnimationFrame(look); return; }
      requestAnimationFrame(() => {
        window.times.push(performance.now() - event.timeStamp);
        waiting = false;
      });
    };
    requestAnimationFrame(look);
  };
  // Sliders and the pad act when the button goes down, the others when it goes up.
  const down = (e) => e.target.matches('#psi, #pad');
  document.addEventListener('pointerdown', (e) => { if (down(e)) begin(e); }, true);
  document.addEventListener('click', (e) => { if (!down(e)) begin(e); }, true);
}
"""


def main(argv: list[str]) -> None:
    """Run the benchmark and print its table."""
    del argv
    figures = measure(FLAGS.network, FLAGS.clicks)
    print(table(figures))
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(figures, indent=2) + "\n")


def measure(network: str, clicks: int) -> dict[str, Any]:
    """Click, and return the latency of each click in milliseconds."""
    from playwright.sync_api import sync_playwright

    program = chromium.find()
    if program is None:
        raise app.UsageError(chromium.MISSING)
    rng = np.random.default_rng(0)
    with explorer(network) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(address)
        page.wait_for_selector("body[data-ready=true]")
        page.wait_for_timeout(1000)  # loads the thumbnails
        page.evaluate(MEASURE)
        for i in range(clicks):
            control = page.locator(CONTROLS[i % len(CONTROLS)])
            box = control.bounding_box()
            x, y = rng.uniform(0.1, 0.9, 2)
            if CONTROLS[i % len(CONTROLS)] == "#psi":
                x, y = 0.2 + 0.5 * (i // len(CONTROLS) % 2) + 0.2 * x, 0.5  # both sides
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.evaluate(f"measured({i + 1})")
            page.wait_for_timeout(PAUSE_MILLISECONDS)
        times = page.evaluate("times")
        version = browser.version
        browser.close()
    return {
        "network": network,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "chromium": version,
        "milliseconds": {
            control: times[i :: len(CONTROLS)] for i, control in enumerate(CONTROLS)
        },
    }


@contextlib.contextmanager
def explorer(network: str) -> Iterator[str]:
    """Start the explorer; yield the address of its page once it is ready."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "stylegan_jax.explore"),
            *(f"--network={network}", "--port=0"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if found := re.search(r"is at (http://\S+/)$", line.strip()):
                yield found[1]
                return
        raise RuntimeError(f"the explorer of {network} has ended; see its message")
    finally:
        process.terminate()
        process.wait(30)


def table(figures: dict[str, Any]) -> str:
    """Format the figures as a table."""
    rows = ["clicks on          number  median ms  95th percentile ms   max ms"]
    all_times = [t for times in figures["milliseconds"].values() for t in times]
    for name, times in (*figures["milliseconds"].items(), ("all", all_times)):
        if times:
            rows.append(
                f"{name:18s} {len(times):6d} {statistics.median(times):10.0f} "
                f"{np.percentile(times, 95):19.0f} {max(times):8.0f}"
            )
    rows.append(
        f"{figures['network']}; {figures['device']}, jax {figures['jax']}, "
        f"Chromium {figures['chromium']}"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    flags.DEFINE_string(
        "network", "smileys64", "Network, as for `stylegan_jax.explore`."
    )
    flags.DEFINE_integer("clicks", 100, "Number of clicks.", lower_bound=4)
    flags.DEFINE_string("json", None, "File to write the figures to.")
    app.run(main)
