"""Arrays in the safetensors format are written and read; damage is explained."""

import numpy as np
import pytest

from stylegan_jax.weights import safetensors
from stylegan_jax.weights.safetensors import FormatError

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "reversed": np.arange(4, dtype=np.int32)[::-1],
    "empty": np.zeros((0, 4), np.float16),
    "scalar": np.array(7, np.int64),
    "flag": np.array([True, False]),
    "big_endian": np.arange(3, dtype=">f8"),
}


def test_round_trip(tmp_path):
    """Arrays of any memory order come back as they look."""
    path = tmp_path / "w.safetensors"
    safetensors.write(path, ARRAYS, {})
    arrays, metadata = safetensors.read(path)
    assert set(arrays) == set(ARRAYS) and metadata == {}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].shape == array.shape
        assert arrays[name].dtype == array.dtype.newbyteorder("=")


def test_metadata_is_kept_and_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.write(path, ARRAYS, {"made": "here"})
    assert safetensors.read(path)[1] == {"made": "here"}
    data = path.read_bytes()
    assert int.from_bytes(data[:8], "little") % 8 == 0  # the numbers are aligned
    assert list(tmp_path.iterdir()) == [path]
    for dtype in (np.complex64, object, "U3"):
        with pytest.raises(ValueError, match="z has dtype .* may hold .*'float32'"):
            safetensors.write(path, {"z": np.zeros(1, dtype)}, {})
    assert path.read_bytes() == data and list(tmp_path.iterdir()) == [path]


ENTRY = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
DAMAGED = (
    "damaged or not in the safetensors format"  # also types unknown to the package
)


def with_header(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(8)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (ENTRY.replace(b"[0,8]", b"[0,9]"), DAMAGED),
        (ENTRY.replace(b"[0,8]", b"[4,12]"), DAMAGED),
        (ENTRY.replace(b"[2]", b"[3]"), DAMAGED),
        (ENTRY.replace(b"[2]", b"[-2]"), DAMAGED),
        (ENTRY.replace(b"[2]", b"[4611686018427387904,4]"), DAMAGED),
        (ENTRY.replace(b"F32", b"F9"), DAMAGED),
        (ENTRY.replace(b"dtype", b"type"), DAMAGED),
        (b"{}", DAMAGED),
        (b"[1]", DAMAGED),
        (b'{"__metadata__":{"a":1},' + ENTRY[1:], DAMAGED),
        (ENTRY[:-1], DAMAGED),
        (ENTRY[:-1] + b',"v":' + ENTRY[5:], DAMAGED),
        (b'{"w":' * 100_000, DAMAGED),
        (ENTRY[:-2] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "damaged"),
        (ENTRY[:-1] + b"," + ENTRY[1:], "a key twice"),
        (b'{"__metadata__":{"a":"1","a":"2"},' + ENTRY[1:], "a key twice"),
        (ENTRY.replace(b"F32", b"BF16").replace(b"[2]", b"[4]"), "'w' has the type BF"),
        (ENTRY.replace(b"F32", b"C64").replace(b"[2]", b"[1]"), "type C64|" + DAMAGED),
        (
            ENTRY.replace(b"F32", b"F8_E4M3").replace(b"[2]", b"[8]"),
            "type F8|" + DAMAGED,
        ),
        (ENTRY.replace(b"[2]", b"[2" + b",1" * 70 + b"]"), "'w' has 71 axes"),
    ],
    ids=lambda value: value[:60] if isinstance(value, bytes) else None,
)
def test_wrong_headers_are_explained(tmp_path, header, match):
    path = tmp_path / "w.safetensors"
    path.write_bytes(with_header(header))
    with pytest.raises(FormatError, match=match):
        safetensors.read(path)


@pytest.mark.parametrize("data", [b"", b"\xff" * 9, bytes(8), with_header(ENTRY)[:-1]])
def test_truncated_files_are_explained(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=DAMAGED):
        safetensors.read(path)


def test_a_long_name_is_cut_in_messages(tmp_path):
    path = tmp_path / "w.safetensors"
    header = ENTRY.replace(b"F32", b"BF16").replace(b"[2]", b"[4]")
    path.write_bytes(with_header(header.replace(b'"w"', b'"' + b"w" * 10_000 + b'"')))
    with pytest.raises(FormatError, match="has the type BF16") as caught:
        safetensors.read(path)
    assert len(str(caught.value)) < 500
