"""Batches that training requests at any position, process and stage."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from stylegan_jax import train
from stylegan_jax.data import pipeline
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
        _, labels = next(train.batches(training, "source", stage, start))
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
