"""Batches that training requests at any position, process and stage."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import chex
import numpy as np
import pytest
from etils import epath

from stylegan_jax import train, workdir
from stylegan_jax.data import pipeline
from stylegan_jax.runtime import parallel
from stylegan_jax.training import schedule
from tests import tiny

LABELS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("start", [0, 24])
@pytest.mark.parametrize(("process", "processes"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("label_size", [0, 3])
def test_batches(monkeypatch, start, process, processes, label_size):
    asked = {}

    def batches(source, **settings):
        asked.update(settings)
        assert source == "source"
        return itertools.repeat((np.zeros((2, 8, 8, 3), np.uint8), LABELS))

    monkeypatch.setattr(pipeline, "batches", batches)
    e = tiny.experiment({"run.seed": 5, "data.prefetch_batches": 7})
    training = SimpleNamespace(
        experiment=e,
        parallel=SimpleNamespace(process_index=process, process_count=processes),
        label_size=label_size,
    )
    for stage in schedule.build_stages(e):
        stage = dataclasses.replace(stage, batch_size=4)
        _, labels = next(train.batches(training, "source", stage, start, None))
        np.testing.assert_array_equal(labels, LABELS[:, :label_size])
        assert asked == {
            "resolution": stage.resolution,
            "batch_size": 4,
            "start_images": start,
            "seed": 5,
            "process_index": process,
            "process_count": processes,
            "prefetch_batches": 7,
        }


def test_cached_batches():
    """The cache knows the seed and the process."""
    asked = {}

    def batches(**settings):
        asked.update(settings)
        return itertools.repeat((np.zeros((2, 8, 8, 3), np.uint8), LABELS))

    training = SimpleNamespace(
        experiment=tiny.experiment(), parallel=None, label_size=0
    )
    cache = SimpleNamespace(batches=batches)
    stage = schedule.build_stages(training.experiment)[1]
    _, labels = next(train.batches(training, "source", stage, 24, cache))
    chex.assert_shape(labels, (2, 0))
    assert asked == {
        "resolution": 16,
        "batch_size": stage.batch_size,
        "start_images": 24,
    }


@pytest.mark.parametrize(("choice", "where"), [("none", None), ("device", "device")])
def test_image_cache(choice, where):
    training = SimpleNamespace(
        experiment=tiny.experiment({"data.cache": choice}), parallel=parallel.local()
    )
    source = SimpleNamespace(base_size=(4, 4), resolution=8, num_images=3, channels=3)
    cache = train.image_cache(training, source)
    assert (cache and cache.on_devices) is (where and where == "device")


def test_a_run_may_be_resumed_with_another_cache(tmp_path):
    directory, info = epath.Path(tmp_path), workdir.DataInfo("emoji", 3, (), "00")
    workdir.write_description(directory, tiny.experiment(), info)
    workdir.check_resumable(directory, tiny.experiment({"data.cache": "none"}), info)
    other = tiny.experiment({"data.mirror": False})
    with pytest.raises(ValueError, match=r"data\.mirror: True there, False now"):
        workdir.check_resumable(directory, other, info)


def test_a_resumed_run_tells_of_another_decoder(tmp_path):
    directory, info = epath.Path(tmp_path), workdir.DataInfo("x", 3, (), "00", 2)
    assert workdir.decoder_notice(directory, info) == []
    workdir.write_description(directory, tiny.experiment(), info)
    assert workdir.load_data_info(directory) == info
    assert workdir.decoder_notice(directory, info) == []
    newer = dataclasses.replace(info, decoder=3)
    (line,) = workdir.decoder_notice(directory, newer)
    assert "by version 2 of the decoder; from now on, version 3 reads them" in line

    # data.json of the first version, and of a converted network
    path = directory / "data.json"
    stored = json.loads(path.read_text())
    del stored["decoder"]
    path.write_text(json.dumps(stored))
    assert "by version 1 of the decoder" in workdir.decoder_notice(directory, info)[0]
    path.write_text(json.dumps(stored | {"num_images": 0}))
    assert workdir.decoder_notice(directory, info) == []
