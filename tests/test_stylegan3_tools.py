"""StyleGAN3 in projection, tuning, export and the explorer."""

import dataclasses
import json
import zipfile

import jax
import numpy as np
import pytest
from flax import traverse_util
from jax import export

from stylegan_jax.explorer.picture import Picture, Seed, Style
from stylegan_jax.explorer.renderer import Renderer
from stylegan_jax.exporters import page, stablehlo
from stylegan_jax.exporters.programs import program
from stylegan_jax.inversion.projection import Projector, Settings, project
from stylegan_jax.inversion.tuning import Tuner, TuningSettings
from stylegan_jax.runtime.image_io import to_uint8
from tests.networks import small

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def g():
    return small.network("stylegan3")


@pytest.mark.slow
def test_project_and_tune(g):
    targets = g(seeds=[50, 51])
    settings = Settings(steps=25, space="w+")
    found = project(Projector(g, settings, "multiscale", batch_size=2), targets)
    for one in found:
        assert one.maps == {} and one.ws.shape == (6, 8)
        assert one.distance < one.start_distance
    # Towards others than those of the latents.
    ws = np.stack([one.ws for one in found[::-1]])
    tuning = TuningSettings(steps=6, learning_rate=3e-3, stop_distance=0.0)
    tuned = Tuner(g, tuning, "multiscale").tune(targets, ws)
    assert np.all(tuned.distances < tuned.distances_before)
    before, after = (
        traverse_util.flatten_dict(jax.device_get(x.variables), sep="/")
        for x in (g, tuned.network)
    )
    for name in ("params/input/weight", "params/layers_4/affine/kernel/weight"):
        assert np.any(after[name] != before[name])
    for name in ("constants/input/frequencies", "stats/layers_1/magnitude"):
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.slow
def test_stablehlo(g, tmp_path):
    path = tmp_path / "g.stablehlo"
    stablehlo.write(g, program(g, "generator"), path)
    with zipfile.ZipFile(path) as archive:
        exported = export.deserialize(bytearray(archive.read("program.bin")))
        assert json.loads(archive.read("metadata.json"))["inputs"]["z"] == ["N", 8]
    images = exported.call(g.z([3, 5]), np.float32(0.7))
    wanted = g(seeds=[3, 5], truncation_psi=0.7)
    assert abs(to_uint8(images).astype(int) - wanted).max() <= 1


def test_explore(g):
    renderer = Renderer(g)
    renderer.compile(lambda text: None)
    wanted = g(seeds=[5], truncation_psi=0.6)
    found = renderer.draw(Picture(Style(Seed(5)), 0.6))
    assert abs(found.astype(int) - wanted[0]).max() <= 1
    assert json.dumps(renderer.facts())


def test_every_style_has_a_place_in_the_page(g):
    groups = page.facts(g)["style_groups"]
    assert sorted(sum(groups.values(), [])) == list(range(6))
    # Few layers leave octaves without any.
    design = g.generator.design.__class__(num_layers=2, num_critical=1, margin_size=3)
    few = dataclasses.replace(g, generator=g.generator.clone(design=design))
    groups = page.facts(few)["style_groups"]
    assert sorted(sum(groups.values(), [])) == list(range(4))
