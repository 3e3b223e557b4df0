"""Seeds, latents and labels as users write them."""

import numpy as np
import pytest

from stylegan_jax.sampling import seeds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("3, 7,10-12", [3, 7, 10, 11, 12]),
        ("5-5", [5]),
        ("2,2", [2, 2]),
        ("4294967295", [2**32 - 1]),
    ],
)
def test_parse_seeds(text, expected):
    assert seeds.parse_seeds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "-1", "1,,2", "1-", "0-4294967296", "1.5", "1 2"]
)
def test_wrong_seeds_raise(text):
    with pytest.raises(ValueError, match="numbers or increasing ranges") as raised:
        seeds.parse_seeds(text)
    assert f"seeds (={text!r})" in str(raised.value)


def test_many_seeds_and_classes():
    most = seeds.MAX_SEEDS
    assert len(seeds.parse_seeds(f"1-{most}")) == most
    for text in (f"0-{most}", f"7,0-{most - 1}", "0-4294967295"):
        with pytest.raises(ValueError, match="are more than 1,000,000; use several"):
            seeds.parse_seeds(text)
    names = tuple(f"class {i}" for i in range(1000))
    for call in (
        lambda: seeds.one_hot("cat", names, 1),
        lambda: seeds.labels(None, "1,2", names, 1),
    ):
        with pytest.raises(ValueError) as raised:
            call()
        assert "class 19 and 980 more" in str(raised.value)
        assert "class 20" not in str(raised.value)


def test_latents_equal_the_official_ones():
    z = seeds.latents([3, 77], 512)
    assert z.shape == (2, 512) and z.dtype == np.float32
    expected = np.random.RandomState(77).randn(512).astype(np.float32)
    np.testing.assert_array_equal(z[1], expected)


def test_labels():
    names = ("cat", "dog", "7")
    assert seeds.one_hot(None, (), 2) is None
    assert seeds.labels(None, None, (), 2) is None
    np.testing.assert_array_equal(seeds.labels("dog", None, names, 1), [[0, 1, 0]])
    vector = seeds.labels(None, "0.5,-1,2e0", names, 2)
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, [[0.5, -1, 2]] * 2)
    for wrong in [(None, "1,2"), (None, "1,2,nan"), (None, "a"), ("dog", "1,2,3")]:
        with pytest.raises(ValueError, match="must be 3 numbers separated by commas"):
            seeds.labels(*wrong, names, 2)
    np.testing.assert_array_equal(seeds.one_hot("dog", names, 2), [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(seeds.one_hot("0", names, 1), [[1, 0, 0]])
    np.testing.assert_array_equal(seeds.one_hot("7", names, 1), [[0, 0, 1]])
    for call in (seeds.one_hot, seeds.labels):
        arguments = ("dog",) if call is seeds.one_hot else (None, "1,2")
        with pytest.raises(ValueError, match="given to a network without labels"):
            call(*arguments, (), 2)
    for wrong in (None, "cow", "3", "-1"):
        with pytest.raises(ValueError, match="must be one of .* or an index below 3"):
            seeds.one_hot(wrong, names, 2)
