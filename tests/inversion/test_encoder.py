"""Encoders of tiny networks: training, files, the start of a projection."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

from stylegan_jax.inversion import encoder as encoders
from stylegan_jax.inversion import encoder_training
from stylegan_jax.inversion.encoder_training import EncoderSettings
from stylegan_jax.inversion.projection import Projector, Settings, project
from stylegan_jax.weights import safetensors
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")
SETTINGS = EncoderSettings(
    "w+", steps=30, batch_size=8, learning_rate=5e-3, channel_base=64, channel_max=16
)


@pytest.fixture(scope="module")
def trained():
    return encoder_training.train(small.network("stylegan2"), SETTINGS, "multiscale")


def test_it_learns(trained):
    """Beside the average w, on samples that it has not seen."""
    facts = trained.facts
    assert facts["distance"] < 0.85 * facts["distance_of_average"]
    g = small.network("stylegan2")
    targets = g(seeds=range(40))
    ws = trained(targets)
    assert ws.shape == (40, 6, 8) and ws.dtype == np.float32
    assert np.any(ws[:, 0] != ws[:, 1])
    plain = trained(targets, offsets=False)
    np.testing.assert_array_equal(plain, np.repeat(plain[:, :1], 6, axis=1))
    # No image depends on the others of its batch.
    np.testing.assert_allclose(trained(targets[7:8]), ws[7:8], rtol=1e-4, atol=1e-5)
    errors = [
        np.mean(np.abs(g.synthesize(each).astype(int) - targets))
        for each in (ws, np.broadcast_to(trained.mean, ws.shape))
    ]
    assert errors[0] < 0.95 * errors[1]


def test_a_file_holds_all_of_it(trained, tmp_path):
    path = tmp_path / "encoder.safetensors"
    encoders.save(trained, path)
    found = encoders.load(path)
    targets = small.network("stylegan2")(seeds=range(3))
    np.testing.assert_array_equal(found(targets), trained(targets))
    assert found.facts == trained.facts and found.reference == "small"
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(ValueError, match="the file is damaged"):
        encoders.load(path)
    arrays = {"mean": trained.mean}
    for metadata, message in (
        ({}, "has no description of an encoder"),
        ({encoders.KEY: "{"}, "its description is damaged"),
        ({encoders.KEY: "{}"}, "has version None; this program reads version 1"),
        ({encoders.KEY: '{"version": 9}'}, "has version 9; this program reads"),
        (safetensors_metadata(content, path), "fit its description: params/block_16/"),
    ):
        safetensors.write(path, arrays, metadata)
        with pytest.raises(ValueError, match=re.escape(message)):
            encoders.load(path)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"resolution": 12}, "resolution, size"),
        ({"resolution": "16"}, "resolution, size"),
        ({"w_dim": 0}, "w_dim"),
        ({"offset_layers": 5}, "offset_layers"),
        ({"channels": {"base": 64}}, "channels"),
        ({"size": [16, 18]}, "size"),
        ({"image_channels": 2}, "image_channels"),
        ({"image_channels": 3.0}, "image_channels"),
        ({"offset_layers": False}, "offset_layers"),
        ({"scale": float("nan")}, "scale"),
        ({"network": None, "facts": []}, "network, facts"),
    ],
)
def test_damaged_descriptions(trained, tmp_path, change, wrong):
    path = tmp_path / "encoder.safetensors"
    encoders.save(trained, path)
    arrays, metadata = safetensors.read(path)
    text = json.dumps(json.loads(metadata[encoders.KEY]) | change)
    safetensors.write(path, arrays, {encoders.KEY: text})
    message = f"its description is damaged: {wrong} must be present and have allowed"
    with pytest.raises(ValueError, match=message):
        encoders.load(path)


def test_damaged_arrays(trained, tmp_path):
    path = tmp_path / "encoder.safetensors"
    encoders.save(trained, path)
    arrays, metadata = safetensors.read(path)
    for mean in (np.full(8, np.nan, np.float32), np.zeros(8, np.int32)):
        safetensors.write(path, {**arrays, "mean": mean}, metadata)
        with pytest.raises(ValueError, match="mean must hold finite floating"):
            encoders.load(path)


def safetensors_metadata(content, path):
    path.write_bytes(content)
    return safetensors.read_metadata(path)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_it_is_the_start_of_a_projection(trained, space):
    g = small.network("stylegan2")
    targets = g(seeds=[50, 51])
    settings = Settings(space, steps=10, noise="const", start="encoder", restarts=2)
    projector = Projector(g, settings, "multiscale", encoder=trained, batch_size=2)
    ws = trained(targets, offsets=space == "w+")
    for i, starts in enumerate(projector.starts(targets, 2)):
        np.testing.assert_array_equal(starts[0], ws[i])
        assert starts.shape == (2, 6, 8) and np.any(starts[1] != starts[0])
    found = project(projector, targets)
    description = projector.describe(targets)
    point = {"w": ws if space == "w+" else ws[:, :1], "noise": {}}
    _, distances = projector.draw(description, point)
    for each, distance in zip(found, distances, strict=True):
        assert len(each.runs) == 2
        if each.distance == each.runs[0]:
            np.testing.assert_allclose(each.start_distance, distance, rtol=1e-4)


@pytest.mark.slow
def test_labels_are_drawn():
    g = small.network("stylegan2", ("a", "b"))
    settings = EncoderSettings(
        steps=2, batch_size=2, channel_base=64, channel_max=16, image_weight=0.0
    )
    found = encoder_training.train(g, settings, "multiscale")
    assert found(g(seeds=[1], label="a")).shape == (1, 6, 8)


def test_what_does_not_fit_is_refused(trained):
    g = small.network("stylegan2")
    with pytest.raises(ValueError, match="images are .* this encoder takes"):
        trained(np.zeros((1, 8, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="was trained for another network: small"):
        trained.check(small.network("stylegan2", ("a", "b")))
    trained.check(g)
    wide = dataclasses.replace(trained, image_channels=4)
    with pytest.raises(ValueError, match="with 4 channels for 6 style layers, but"):
        wide.check(g)
    for settings, encoder in ((Settings(), trained), (Settings(start="encoder"), None)):
        with pytest.raises(ValueError, match="belong together, and an encoder"):
            Projector(g, settings, "multiscale", encoder=encoder)
    for wrong in ({"space": "z"}, {"steps": 0}, {"learning_rate": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} "):
            EncoderSettings(**wrong)
    with pytest.raises(ValueError, match="must be positive with space"):
        EncoderSettings("w+", image_weight=0.0)
    g = small.network("stylegan2", ("a", "b"))
    vectors = dataclasses.replace(g, label_vectors=True)
    with pytest.raises(ValueError, match="small takes label vectors, whose"):
        encoder_training.train(vectors, EncoderSettings(), "multiscale")
    with pytest.raises(ValueError, match="this network has 0 classes"):
        Projector(vectors, Settings(), "multiscale", label="fit")


def test_a_tuned_network_keeps_its_encoder(trained):
    """Tuning changes the synthesis alone, and further training the mapping, too."""
    g = small.network("stylegan2")
    changed = jax.tree.map(lambda x: x + 0.01, g.variables["params"])
    tuned = {**changed, "mapping": g.variables["params"]["mapping"]}
    trained.check(dataclasses.replace(g, variables={**g.variables, "params": tuned}))
    further = dataclasses.replace(g, variables={**g.variables, "params": changed})
    with pytest.raises(ValueError, match="was trained for another network"):
        trained.check(further)
