"""Pictures as JSON: every part is kept, and every wrong part is named."""

import base64
import json
import re

import numpy as np
import pytest

from stylegan_jax.explorer import picture as pictures
from stylegan_jax.explorer.picture import (
    MAX_DEPTH,
    Latent,
    Mix,
    Pad,
    Picture,
    PictureError,
    Seed,
    Style,
    Walk,
)
from tests.networks import small

LAYERS, WIDTH = 6, 8  # of the small network
LABEL = (0.25, 1.0)


@pytest.fixture(scope="module")
def generator():
    return small.network("stylegan2", ("a", "b")).generator


WS = np.arange(LAYERS * WIDTH, dtype=np.float32).reshape(LAYERS, WIDTH)
SEED = Style(Seed(2**32 - 1), LABEL, Mix(7, (0, 5)))
SOURCES = {
    "seed": SEED.source,
    "pad": Pad((1, 2, 3, 4), 0.25, 1.0),
    "z": Latent.of("z", WS[0]),
    "ws": Latent.of("ws", WS),
    "walk": Walk((SEED, Style(Pad((1, 2, 3, 4), 0.0, 0.5), LABEL)), 1.75),
}


@pytest.mark.parametrize("name", SOURCES)
def test_json_round_trip(name, generator):
    style = Style(SOURCES[name], LABEL, Mix(3, (1, 2)))
    edits = (("smile", -2.5), ("age", 0.0))
    picture = Picture(style, -0.5, 4, "random", 9, edits)
    text = json.dumps(pictures.to_json(picture))
    assert pictures.from_json(json.loads(text), generator) == picture


def test_older_pictures_have_no_directions(generator):
    value = pictures.to_json(Picture(SEED))
    del value["directions"]
    assert pictures.from_json(value, generator) == Picture(SEED)


def test_latents_are_those_of_the_array(generator):
    np.testing.assert_array_equal(SOURCES["ws"].values(generator), WS)
    np.testing.assert_array_equal(SOURCES["z"].values(generator), WS[0])


def test_the_end_of_a_walk_is_its_beginning(generator):
    value = pictures.to_json(Picture(Style(Walk((SEED, SEED), 2.0), LABEL)))
    assert pictures.from_json(value, generator).style.source.position == 0


def walks(depth: int) -> Style:
    style = SEED
    for _ in range(depth):
        style = Style(Walk((style, SEED), 0.5), LABEL)
    return style


def test_walks_in_walks_have_a_limit(generator):
    value = pictures.to_json(Picture(walks(MAX_DEPTH)))
    pictures.from_json(value, generator)
    value = pictures.to_json(Picture(walks(MAX_DEPTH + 1)))
    with pytest.raises(PictureError, match="`kind` .='walk'. must be one of seed, pad"):
        pictures.from_json(value, generator)


def changed(path: str, new):
    value = json.loads(json.dumps(pictures.to_json(Picture(SEED))))
    *parents, last = path.split(".")
    place = value
    for name in parents:
        place = place[name]
    place[last] = new
    return value


def latent(data):
    return {"kind": "latent", "array": "ws", "data": data}


BAD = [
    ("x", 1, "`picture` must be an object with style, truncation_psi"),
    ("truncation_psi", "1", "`truncation_psi` (='1') must be a number from -10.0"),
    ("truncation_psi", float("nan"), "`truncation_psi` (=nan) must be a number"),
    ("truncation_psi", True, "`truncation_psi` (=True) must be a number"),
    ("truncation_cutoff", 7, "`truncation_cutoff` (=7) must be a whole number from 0"),
    ("noise", "loud", "`noise` (='loud') must be one of const, random, none"),
    ("noise", [], "`noise` (=[]) must be one of"),
    ("directions", [1], "`directions` must be an object of up to 100 strengths"),
    ("directions", {"x": 1001}, "`directions` (=1001) must be a number from -1000"),
    ("directions", {"x": float("nan")}, "`directions` (=nan) must be a number"),
    ("noise_seed", -1, "`noise_seed` (=-1) must be a whole number"),
    ("style", [], "`style` must be an object with source, label, mix, not list"),
    ("style.label", [1], "`label` must be a list of 2 values, not 1"),
    ("style.label", [1, 1e9], "`label` (=1000000000.0) must be a number from -100.0"),
    ("style.mix.layers", [6], "`layers` (=6) must be a whole number from 0 to 5"),
    ("style.mix.layers", [0] * 7, "`layers` must be a list of 0 to 6 values"),
    ("style.mix.seed", 2**32, "`mix.seed` (=4294967296) must be a whole number"),
    ("style.mix", {"seed": 1}, "`mix` must be an object with seed, layers, not seed"),
    ("style.source", None, "`kind` (=None) must be one of seed, pad, latent, walk"),
    ("style.source.seed", 0.5, "`seed` (=0.5) must be a whole number"),
    (
        "style.source",
        {"kind": "pad", "seeds": [1, 2, 3], "x": 0, "y": 0},
        "`seeds` must be a list of 4 values, not 3",
    ),
    (
        "style.source",
        {"kind": "pad", "seeds": [1, 2, 3, 4], "x": 0, "y": 1.5},
        "`y` (=1.5) must be a number from 0 to 1",
    ),
    ("style.source", latent("????"), "must be [6, 8] float32 numbers in Base64"),
    ("style.source", latent("é"), "must be [6, 8] float32 numbers in Base64"),
    ("style.source", latent("AAAA"), "must be [6, 8] float32 numbers in Base64"),
    ("style.source", latent(None), "must be a string in Base64"),
    (
        "style.source",
        latent(base64.b64encode(np.full((6, 8), np.inf, "<f4")).decode()),
        "must be finite numbers",
    ),
    (
        "style.source",
        {"kind": "walk", "keyframes": [], "position": 0},
        "`keyframes` must be a list of 2 to 64 values, not 0",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_wrong_parts_are_named(path, value, message, generator):
    with pytest.raises(PictureError, match=re.escape(message)):
        pictures.from_json(changed(path, value), generator)
