"""Photos, projections, tuning and drags over HTTP."""

import base64
import dataclasses
import http.client
import io
import json
import struct
import zlib
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image

pytest.importorskip(
    "uvicorn", reason="needs the extra: python -m pip install -e '.[explore]'"
)

import stylegan_jax  # noqa: E402
from stylegan_jax.explorer import picture as pictures  # noqa: E402
from stylegan_jax.explorer import studio  # noqa: E402
from stylegan_jax.explorer.picture import Picture, Seed, Style  # noqa: E402
from tests.explorer.served import served  # noqa: E402

PICTURE = Picture(Style(Seed(5), (1.0, 0.0)), directions=(("turn", 1.0),))


@pytest.fixture(scope="module")
def place(renderer):
    with served(renderer) as address:
        yield urlsplit(address).netloc


def ask(place, method, path, body=None):
    connection = http.client.HTTPConnection(place, timeout=300)
    origin = {} if method == "GET" else {"Origin": f"http://{place}"}
    connection.request(method, path, body, origin)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def post(place, path, shown=PICTURE, **fields):
    """Return the reports of a task."""
    value = {"picture": pictures.to_json(shown), **fields}
    status, content = ask(place, "POST", path, json.dumps(value))
    assert status == 200, content
    return [json.loads(line) for line in content.splitlines()]


def refused(place, path, **fields):
    value = {"picture": pictures.to_json(PICTURE), **fields}
    status, content = ask(place, "POST", path, json.dumps(value))
    assert status == 400, content
    return json.loads(content)["error"]


def picture(renderer, line):
    return pictures.from_json(line["picture"], renderer.network.generator)


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def photo(place, renderer):
    """Open a photo, in which the box is an image of the network's."""
    image = renderer.draw(PICTURE)
    wide = np.pad(image, ((3, 5), (7, 2), (0, 0)))
    status, content = ask(place, "POST", "/target?box=7,3,16,16", png(wide))
    assert status == 200, content
    found = json.loads(content)
    assert found["fit"]["box"] == [7, 3, 16, 16]
    name = found["target"]
    pixels = ask(place, "GET", f"/target?target={quote(name)}")[1]
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8), image.ravel())
    return name


def test_project_then_tune_then_save(place, renderer, photo, tmp_path):
    lines = post(place, "/project", target=photo, space="w+", steps=20)
    assert [line["step"] for line in lines] == [10, 20]
    assert lines[-1]["distance"] < 0.5 and lines[-1]["rms"] > 0
    projected = picture(renderer, lines[-1])
    assert projected.truncation_psi == 1 and not projected.directions
    image = renderer.draw(projected)
    goal = renderer.draw(PICTURE)

    def rms(image):
        return np.sqrt(np.mean((image / 127.5 - goal / 127.5) ** 2))

    assert rms(image) == pytest.approx(lines[-1]["rms"], abs=0.01)

    lines = post(place, "/tune", projected, target=photo, steps=4, learning_rate=5e-4)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 4]
    tuned = picture(renderer, lines[-1])
    assert tuned.style == projected.style and tuned.tuned in renderer.tuned
    assert rms(renderer.draw(tuned)) < rms(image)
    edited = dataclasses.replace(tuned, directions=(("blink", 3.0),))
    assert np.any(renderer.draw(edited) != renderer.draw(tuned))

    status, content = ask(place, "POST", "/tuned", json.dumps(pictures.to_json(tuned)))
    assert status == 200
    (tmp_path / "tuned.safetensors").write_bytes(content)
    network = stylegan_jax.load(tmp_path / "tuned.safetensors")
    saved = network.synthesize(renderer.styles(tuned))[0].astype(int)
    assert abs(saved - renderer.draw(tuned)).max() <= 1


def test_drag(place, renderer):
    mask = np.ones((16, 16), bool)
    mask[:, 14:] = False
    bits = base64.b64encode(np.packbits(mask)).decode()
    shown = dataclasses.replace(PICTURE, directions=(("turn", 1.0), ("blink", 1.0)))
    lines = post(
        place,
        "/drag",
        shown,
        handles=[[5, 6]],
        targets=[[11, 6]],
        mask=bits,
        steps=3,
    )
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert lines[0]["points"] == [[5, 6]] and lines[0]["distances"] == [6]
    # Nothing has moved yet: edits of w are in the styles, those of styles remain.
    first, last = (picture(renderer, lines[i]) for i in (0, -1))
    assert first.directions == (("blink", 1.0),)
    np.testing.assert_array_equal(renderer.draw(first), renderer.draw(shown))
    assert np.any(renderer.draw(last) != renderer.draw(shown))


def test_an_unknown_tuned_network(place):
    shown = dataclasses.replace(PICTURE, tuned="tuned-0")
    value = {"client": "c", "number": 1, "picture": pictures.to_json(shown)}
    status, content = ask(place, "POST", "/draw", json.dumps(value))
    assert status == 400 and b"is no longer in memory; tune again" in content


def bomb():
    """Return a PNG of a few kilobytes that says it has 10^10 pixels."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("/target", b"text", "the photo is not an image"),
        ("/target", bomb(), "could be decompression bomb"),
        ("/target?box=9,9,16,16", png(np.zeros((16, 16, 3), np.uint8)), "not inside"),
        ("/target?box=a", b"", "`box` (='a') must be LEFT,TOP,WIDTH,HEIGHT"),
    ],
)
def test_photos_that_are_refused(place, path, content, message):
    status, answer = ask(place, "POST", path, content)
    assert status == 400 and message in json.loads(answer)["error"]


def test_large_photos_are_refused(place):
    status, answer = ask(place, "POST", "/target", bytes(studio.MAX_PHOTO_BYTES + 1))
    assert status == 413 and b"is larger than 33,554,432 bytes" in answer


def test_wrong_tasks_are_refused(place, photo):
    points = {"handles": [[1, 1]], "targets": [[2, 2]], "steps": 3}
    cases = [
        ("/project", {"target": "photo 99", "space": "w", "steps": 3}, "the photo 'ph"),
        ("/project", {"target": photo, "space": "z", "steps": 3}, "space (='z')"),
        ("/project", {"target": photo, "space": "w", "steps": 0}, "`steps` must be"),
        ("/tune", {"target": photo, "steps": 3, "learning_rate": 0}, "`learning_rate`"),
        ("/drag", points | {"handles": []}, "handles must be 1 to 64 points"),
        ("/drag", points | {"targets": [[16, 2]]}, "must be inside the image"),
        ("/drag", points | {"mask": "AAAA"}, "`mask` must be 16x16 bits in Base64"),
        ("/drag", points | {"mask": base64.b64encode(bytes(32)).decode()}, "nothing"),
        ("/tuned", {"tuned": ""}, "is not of a tuned network; tune it first"),
    ]
    for path, fields, message in cases:
        assert message in refused(place, path, **fields), path
