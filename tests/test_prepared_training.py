"""Whole runs on what `prepare` made."""

import json

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, train
from stylegan_jax.data import formats, preparation
from stylegan_jax.data.preparation.request import Request
from stylegan_jax.data.sources import open_source
from tests import tiny
from tests.data.preparation.test_prepare import pile, png
from tests.data.sources.test_sources import read

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_a_growing_run_on_levels_is_that_on_the_originals(tmp_path, tmp_path_factory):
    """The built-in emoji as a multires folder: the same run, to the last bit."""
    emoji = open_source(config.Data(resolution=64))
    (tmp_path / "emoji").mkdir()
    for index in range(emoji.num_images):
        image = Image.fromarray(read(emoji, index)[0])
        image.save(tmp_path / "emoji" / f"{index:04d}.bmp")
    request = Request(
        tmp_path / "set", size=(16, 16), filter="area", multires=True, workers=2
    )
    opened = formats.open_collection(str(tmp_path / "emoji"))
    preparation.prepare(opened, request, lambda *_: None)
    settings = {"data.source": "prepared", "data.path": str(tmp_path / "set")}
    with tiny.recorded_batches() as consumed:
        train.train(tiny.experiment(settings), tmp_path / "run")
    finished = tiny.finished_run(tmp_path_factory)
    assert consumed == json.loads((finished / "consumed.json").read_text())
    tiny.assert_same(tiny.restored(tmp_path / "run"), tiny.restored(finished))


@pytest.mark.slow
def test_label_vectors_train_and_generate(tmp_path):
    files = {f"{i}.png": png(i) for i in range(12)}
    rows = [[name, [i / 12, float(i % 2), -1]] for i, name in enumerate(files)]
    content = json.dumps({"labels": rows}).encode()
    path = pile("zip", tmp_path / "pile", files | {"dataset.json": content})
    settings = {
        "data.source": "zip",
        "data.path": str(path),
        "data.conditional": True,
        "data.resolution": 8,
    }
    train.train(tiny.experiment(tiny.STYLEGAN2 | settings), tmp_path / "run")
    (event,) = tiny.events(tmp_path / "run", "labels")
    assert event["names"] == ["0", "1", "2"] and event["images"] == 12
    np.testing.assert_allclose(event["totals"], [5.5, 6, -12])
    assert all(np.isfinite(row["d_main/loss"]) for row in tiny.ticks(tmp_path / "run"))
    arguments = [f"--workdir={tmp_path / 'run'}", "--seeds=0-1"]
    out, other = tmp_path / "out", tmp_path / "other"
    tiny.finish(
        tiny.start(
            "stylegan_jax.generate", *arguments, f"--out={out}", "--label=0.5,1,-1"
        )
    )
    tiny.finish(
        tiny.start(
            "stylegan_jax.generate", *arguments, f"--out={other}", "--label=-9,0,9"
        )
    )
    assert (out / "grid.png").read_bytes() != (other / "grid.png").read_bytes()
    message = tiny.failure(
        tiny.start("stylegan_jax.generate", *arguments, f"--out={out}", "--label=1,2")
    )
    assert "label (='1,2') must be 3 numbers with commas between" in message
