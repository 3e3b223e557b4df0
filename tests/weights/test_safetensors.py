"""The safetensors format, written and read; damage is told."""

import numpy as np
import pytest

from stylegan_jax.weights import safetensors

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "empty": np.zeros((0, 4), np.float16),
    "scalar": np.array(7, np.int64),
    "flag": np.array([True, False]),
    "big_endian": np.arange(3, dtype=">f8"),
}


def test_round_trip(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.write(path, ARRAYS, {})
    arrays, metadata = safetensors.read(path)
    assert list(arrays) == list(ARRAYS) and metadata == {}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype.newbyteorder("=")


def test_metadata_is_kept_and_numbers_are_aligned(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.write(path, ARRAYS, {"made": "here"})
    assert safetensors.read(path)[1] == {"made": "here"}
    data = path.read_bytes()
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="z is of type complex64"):
        safetensors.write(path, {"z": np.zeros(1, np.complex64)}, {})
    assert path.read_bytes() == data and list(tmp_path.iterdir()) == [path]


ENTRY = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (ENTRY.replace(b"[0,8]", b"[0,9]"), "should lie at bytes 0 to 8 of 8"),
        (ENTRY.replace(b"[0,8]", b"[4,12]"), "should lie at bytes 0 to 8"),
        (ENTRY.replace(b"[2]", b"[3]"), "should lie at bytes 0 to 12"),
        (ENTRY.replace(b"[2]", b"[-2]"), "no list of sizes"),
        (ENTRY.replace(b"F32", b"F8_E4M3"), "unknown type 'F8_E4M3'"),
        (ENTRY.replace(b"dtype", b"type"), "no dtype, shape and data_offsets"),
        (b"{}", "8 bytes of numbers, the header tells of 0"),
        (b'{"__metadata__":{"a":1},' + ENTRY[1:], "metadata other than texts"),
        (ENTRY[:-1] + b"," + ENTRY[1:], "a key twice"),
        (ENTRY[:-1], "no JSON"),
    ],
)
def test_wrong_headers_are_explained(tmp_path, header, match):
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(safetensors.FormatError, match=match):
        safetensors.read(path)


def test_no_header_is_explained(tmp_path):
    path = tmp_path / "w.safetensors"
    for data, match in ((b"", "0 bytes, too few"), (b"\xff" * 9, "claims a header of")):
        path.write_bytes(data)
        with pytest.raises(safetensors.FormatError, match=match):
            safetensors.read(path)
