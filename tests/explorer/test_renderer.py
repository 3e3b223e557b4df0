"""Pictures of every kind of source, compared with the network called from Python."""

import dataclasses

import jax
import numpy as np
import pytest

from stylegan_jax.explorer import renderer as renderers
from stylegan_jax.explorer.picture import (
    Latent,
    Mix,
    Pad,
    Picture,
    PictureError,
    Seed,
    Style,
    Walk,
)
from stylegan_jax.explorer.renderer import DoesNotFit, Renderer
from stylegan_jax.runtime import host_memory
from stylegan_jax.sampling import interpolation
from tests.networks import small

A, B = (1.0, 0.0), (0.0, 1.0)


def raw(renderer, seed, label=A):
    """Return the styles of a seed without truncation, [L,W]."""
    return np.asarray(renderer.network.map(renderer.network.z(seed), np.array(label)))[
        0
    ]


def styles(renderer, *arguments):
    """Return the styles of a picture without truncation, [L,W]."""
    return renderer.styles(Picture(Style(*arguments), 1.0))[0]


@pytest.mark.parametrize("noise", ["const", "random", "none"])
def test_seeds_give_the_images_of_python(renderer, noise):
    wanted = renderer.network(
        seeds=[5],
        label="b",
        truncation_psi=0.6,
        truncation_cutoff=3,
        noise=noise,
        noise_seed=8,
    )
    found = renderer.draw(Picture(Style(Seed(5), B), 0.6, 3, noise, 8))
    np.testing.assert_array_equal(found, wanted[0])


def test_directions_edit_as_in_python(renderer):
    turn, blink = renderer.directions.values()
    network = renderer.network
    ws = network.map(network.z(5), "b", truncation_psi=0.6)
    picture = Picture(Style(Seed(5), B), 0.6, directions=(("turn", -2.0),))
    edited = network.edit(ws, turn, -2)
    np.testing.assert_allclose(renderer.styles(picture), edited, atol=1e-6)
    picture = dataclasses.replace(
        picture, directions=(("turn", -2.0), ("blink", 3.0), ("other", 0.0))
    )
    wanted = network.shift_styles(blink, 3).synthesize(edited)[0]
    np.testing.assert_array_equal(renderer.draw(picture), wanted)
    assert np.any(wanted != network.synthesize(edited)[0])
    picture = dataclasses.replace(picture, directions=(("other", 1.0),))
    with pytest.raises(PictureError, match="other of the picture are not loaded"):
        renderer.draw(picture)
    with pytest.raises(ValueError, match="must have different names, not turn, turn"):
        Renderer(network, directions=[turn, turn])


def test_the_corners_and_the_middle_of_the_pad(renderer):
    seeds = (3, 1, 4, 15)
    corners = [raw(renderer, seed) for seed in seeds]
    for i, (x, y) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        found = styles(renderer, Pad(seeds, x, y), A)
        np.testing.assert_allclose(found, corners[i], atol=1e-6)
    found = styles(renderer, Pad(seeds, 0.5, 0.5), A)
    np.testing.assert_allclose(found, np.mean(corners, 0), atol=1e-6)
    found = styles(renderer, Pad(seeds, 0.25, 0), A)
    np.testing.assert_allclose(found, 0.75 * corners[0] + 0.25 * corners[1], atol=1e-6)


def test_mixing_replaces_the_chosen_layers(renderer):
    first, second = raw(renderer, 1), raw(renderer, 2)
    found = styles(renderer, Seed(1), A, Mix(2, (0, 4)))
    for layer in range(len(first)):
        wanted = second if layer in (0, 4) else first
        np.testing.assert_array_equal(found[layer], wanted[layer])
    np.testing.assert_array_equal(styles(renderer, Seed(1), A), first)


def test_latents_of_files(renderer):
    network = renderer.network
    z = Latent.of("z", network.z(6)[0])
    np.testing.assert_array_equal(styles(renderer, z, B), raw(renderer, 6, B))
    ws = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    np.testing.assert_array_equal(styles(renderer, Latent.of("ws", ws), B), ws)


def test_a_walk_goes_through_its_keyframes(renderer):
    keyframes = (Style(Seed(1), A), Style(Seed(2), B, Mix(3, (5,))), Style(Seed(4), A))
    points = [styles(renderer, k.source, k.label, k.mix) for k in keyframes]
    for i, point in enumerate(points):
        found = styles(renderer, Walk(keyframes, float(i)), A)
        np.testing.assert_allclose(found, point, atol=1e-6)
    path = interpolation.path(np.stack(points), "cubic", closed=True)
    between = Walk(keyframes, 2.5)
    found = styles(renderer, between, A)
    np.testing.assert_allclose(found, path(np.array([2.5]))[0], atol=1e-6)
    mixed = styles(renderer, between, A, Mix(9, (1,)))
    np.testing.assert_array_equal(mixed[1], raw(renderer, 9)[1])
    np.testing.assert_array_equal(mixed[0], found[0])


def test_nothing_is_compiled_after_it_is_ready(renderer):
    compiled = []

    def listener(event, *_, **__):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listener)
    ws = np.zeros((6, 8), np.float32)
    for source in (
        Seed(100),
        Pad((100, 101, 102, 103), 0.1, 0.2),
        Walk((Style(Seed(104), A), Style(Seed(105), B), Style(Seed(106), A)), 0.7),
        Latent.of("ws", ws),
        Latent.of("z", ws[0]),
    ):
        for noise in ("const", "random", "none"):
            for psi, cutoff in ((0.3, None), (0.9, 5), (1.0, None)):
                style = Style(source, A, Mix(107, (2,)))
                renderer.draw(Picture(style, psi, cutoff, noise, 3))
    assert compiled == []
    jax.jit(lambda x: x * 77.5)(1.0)  # the listener works
    assert compiled


def mapped(renderer, monkeypatch):
    """Return the list of the latents that a renderer will map."""
    calls, map_z = [], renderer._map
    monkeypatch.setattr(
        renderer, "_map", lambda z, label: calls.append(z) or map_z(z, label)
    )
    return calls


BYTES = 6 * 8 * 4  # of the styles of a picture


@pytest.mark.parametrize("limit", [("CACHED_STYLES", 3), ("CACHED_BYTES", 3 * BYTES)])
def test_the_cache_has_a_limit(renderer, monkeypatch, limit):
    monkeypatch.setattr(renderers, *limit)
    fresh = Renderer(renderer.network)
    calls = mapped(fresh, monkeypatch)
    for seed in (0, 1, 2, 0, 3):
        styles(fresh, Seed(seed), A)
    assert len(calls) == 4
    for seed in (2, 0, 3):  # all but the one that was least recently used
        styles(fresh, Seed(seed), A)
    assert len(calls) == 4
    styles(fresh, Seed(1), A)
    assert len(calls) == 5
    assert sum(ws.nbytes for ws in fresh._cache.values()) == 3 * BYTES


def test_the_cache_does_not_grow_by_walks_or_by_the_size_of_latents(
    renderer, monkeypatch
):
    fresh = Renderer(renderer.network)
    calls = mapped(fresh, monkeypatch)
    z = fresh.network.z(range(8))
    keyframes = tuple(Style(Latent.of("z", row), A, Mix(9, (1,))) for row in z)
    for position in np.linspace(0, 7.5, 16):
        found = styles(fresh, Walk(keyframes, position), A)
    assert len(calls) == len(fresh._cache) == 9  # the keyframes and the mixed seed
    assert sum(map(len, fresh._cache)) == 9 * 32
    again = styles(Renderer(fresh.network), Walk(keyframes, position), A)
    np.testing.assert_array_equal(found, again)
    # A walk that is a keyframe is kept, since it is needed for every picture.
    for position in (0.2, 0.4):
        styles(fresh, Walk((keyframes[0], Style(Walk(keyframes, 3.3), A)), position), A)
    assert len(calls) == 9 and len(fresh._cache) == 10


def test_facts(renderer):
    found = renderer.facts()
    assert found["layers"] == [
        {"layer": layer, "resolution": resolution}
        for layer, resolution in enumerate([4, 4, 8, 8, 16, 16])
    ]
    assert found["classes"] == ["a", "b"] and found["no_noise"] == ""
    assert found["noise_modes"] == ["const", "random", "none"]
    assert sum(found["groups"].values(), []) == [0, 1, 2, 3, 4, 5]


def test_without_noise_there_is_one_program():
    network = small.network("stylegan2")
    zero = jax.tree_util.tree_map_with_path(
        lambda path, x: 0 * x if path[-1].key == "strength" else x, network.variables
    )
    quiet = Renderer(dataclasses.replace(network, variables=zero))
    assert quiet.noise_modes == ("const",) and "noise has no effect" in quiet.no_noise
    quiet.compile(lambda text: None)
    images = [
        quiet.draw(Picture(Style(Seed(1)), noise=noise)) for noise in ("const", "none")
    ]
    np.testing.assert_array_equal(*images)


def test_a_lower_resolution_of_a_network_that_grew():
    lower = Renderer(small.network("stylegan1"), 8)
    assert lower.size == (8, 8) and len(lower.facts()["layers"]) == 4


def test_an_image_that_exceeds_the_memory(monkeypatch):
    reported = []
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 1000)
    with pytest.raises(
        DoesNotFit, match=r"of memory for an image of 16x16, but only 9\.3"
    ):
        Renderer(small.network("stylegan1")).compile(reported.append)
    assert reported == ["compiling images of 16x16 with noise=const"]
