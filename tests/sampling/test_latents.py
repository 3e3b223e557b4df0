"""Latents from files, good and bad."""

import io
import zipfile

import numpy as np
import pytest

from stylegan_jax.sampling import latents
from tests.networks import small

LAYERS, WIDTH = 6, 8  # of the small network, whose z is as wide as w


def read(path):
    return latents.read(path, small.network().module, "--latents")


def values(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("name", ["z", "w", "ws"])
def test_named_arrays(name, tmp_path):
    array = values(3, *((LAYERS,) if name == "ws" else ()), WIDTH)
    np.savez(tmp_path / "a.npz", **{name: array})
    kind, found = read(tmp_path / "a.npz")
    assert found.dtype == np.float32 and kind == ("z" if name == "z" else "ws")
    wanted = np.repeat(array[:, None], LAYERS, 1) if name == "w" else array
    np.testing.assert_array_equal(found, wanted.astype(np.float32))


def test_the_official_projection(tmp_path):
    """It holds `w` of the shape [1,L,W]."""
    np.savez(tmp_path / "projected_w.npz", w=values(1, LAYERS, WIDTH))
    kind, found = read(tmp_path / "projected_w.npz")
    assert kind == "ws" and found.shape == (1, LAYERS, WIDTH)


def test_npy(tmp_path):
    path = tmp_path / "a.npy"
    array = np.asfortranarray(values(2, LAYERS, WIDTH).astype(np.float16))
    np.save(path, array)
    kind, found = read(path)
    assert kind == "ws"
    np.testing.assert_array_equal(found, array)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def bomb():
    """Claim an array of 2^40 numbers."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 8), }"
    header = header.ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def member(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def damaged():
    """Return a compressed archive whose data are damaged, but not its directory."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, z=values(20, WIDTH))
    content = bytearray(buffer.getvalue())
    content[60:100] = bytes(40)
    return bytes(content)


def encrypted():
    content = bytearray(npz(z=values(2, WIDTH)))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1  # in the flags of both headers
    return bytes(content)


BAD = {
    "fits both z and w; save it with its name": npy(values(2, WIDTH)),
    "of the shape [2, 9]; this network takes z [N, 8], w [N, 8] or ws [N, 6, 8]": npz(
        z=values(2, 9)
    ),
    "holds ws of the shape [2, 8]": npz(ws=values(2, WIDTH)),
    "of the shape [0, 6, 8]": npy(values(0, LAYERS, WIDTH)),
    "must hold one array named z, w, ws; it holds x": npz(x=values(2, WIDTH)),
    "it holds z, w": npz(z=values(2, WIDTH), w=values(2, WIDTH)),
    "must hold finite numbers": npz(z=np.full((2, WIDTH), np.nan)),
    "must hold finite numbers, not": npz(z=np.full((2, WIDTH), "x")),
    "beyond float32": npz(z=np.full((2, WIDTH), 1e300)),
    "latents are numbers, at most 2,147,483,648 bytes": npz(
        z=np.array([[None] * WIDTH], object)
    ),
    "holds [1099511627776, 8] of float32": bomb(),
    "it is truncated": npy(values(2, LAYERS, WIDTH))[:-1],
    "cannot be used: EOF|cannot be used: the magic|cannot be used": b"",
    "magic string is not correct": b"hello, this is no array",
    "Error -3|bad|cannot be used: Error": damaged(),
    "encrypted": encrypted(),
    "cannot be used: ": member("z.npy", b"hello, this is no array"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_files(message, tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(BAD[message])
    with pytest.raises(ValueError) as raised:
        read(path)
    text = str(raised.value)
    assert text.startswith(f"`--latents` (={path}) ")
    assert any(part in text for part in message.split("|")), text


def test_the_limit_holds_for_what_is_decompressed(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, z=np.zeros((100_000, WIDTH)))
    assert path.stat().st_size < 2**16
    generator = small.network().module
    with pytest.raises(ValueError, match="z.npy has 6,400,128 bytes; .* at most 1,000"):
        latents.read(path, generator, "--latents", max_bytes=1000)
    assert len(latents.read(path, generator, "--latents").values) == 100_000
