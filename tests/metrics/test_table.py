"""How metrics come out of what was collected, and their names."""

import numpy as np
import pytest

from stylegan_jax.metrics import frechet, table
from stylegan_jax.metrics.collected import Collected


def collected(classes, seed, names="ab"):
    pool = np.random.default_rng(seed).normal(size=(len(classes), 3))
    found = Collected(len(classes), pool=pool, classes=np.array(classes))
    found.class_names = dict(enumerate(names))
    return found


def test_fid_per_class_is_the_mean_of_all():
    reals, generated = collected([0, 1, 2] * 3, 0), collected([2, 1, 1, 0] * 2, 1)
    [found] = table.METRICS["fid_per_class"].measure(reals, generated)
    expected = {}
    for label in range(3):
        pair = [x.pool[x.classes == label] for x in (reals, generated)]
        expected[label] = frechet.frechet_distance(*map(frechet.fit, pair)).value
    assert found.details["classes"] == expected
    np.testing.assert_allclose(found.value, np.mean(list(expected.values())))


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        ([0, 0, 1, 1], [0, 0, 0, 0], r"1 of 2 classes .*: b \(2 real, 0 generated\);"),
        ([0, 0, 1, 1], [0, 0, 0, 1], r"b \(2 real, 1 generated\); use more images"),
        ([0, 0, 0, 1], [0, 0, 1, 1], r"b \(1 real, 2 generated\)"),
        ([0, 0, 0, 0], [0, 0, 0, 0], r"1 of 2 .*: b \(0 real, 0 generated\)"),
        ([0, 0, 1, 1], [0, 0, 2, 2], r"2 of 3 .*, 2 \(0 real, 2 generated\)"),
        ([0, 1], [1, 0], r"2 of 2 classes .*: a \(1 real, 1 generated\), b"),
    ],
)
def test_fid_per_class_leaves_no_class_out(real, generated, message):
    with pytest.raises(ValueError, match=message):
        table.METRICS["fid_per_class"].measure(
            collected(real, 0), collected(generated, 1)
        )


def test_which_metrics_look_at_reals():
    def takes(*names):
        return table.takes_reals(table.find(list(names)))

    assert takes("fid50k") and takes("msssim", "is") and takes("swd")
    assert not takes("is", "lpips_diversity", "ppl_w_end", "ls")


def test_unknown_metrics_name_the_closest():
    with pytest.raises(ValueError) as caught:
        table.find(["fid", "kid", "pplwend"])
    text = str(caught.value)
    assert "unknown metric 'fid'; did you mean fid50k or fid50k_full?" in text
    assert "unknown metric 'pplwend'; did you mean ppl_w_end" in text
    assert all(name in text for name in table.METRICS)
    with pytest.raises(ValueError, match="no metric was named"):
        table.find([])
