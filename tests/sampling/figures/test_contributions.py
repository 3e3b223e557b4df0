"""The bar chart of contributions."""

import numpy as np
import pytest

from stylegan_jax.sampling import contributions as shares
from stylegan_jax.sampling.figures import contributions

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_figure(skip):
    figure, lines = contributions.contributions(skip, range(4))
    ws = skip.styles(range(4))
    found = shares.contributions(skip.generator, skip.variables, ws)
    assert [line.split() for line in lines] == [
        [f"{r}x{r}", f"{share:.1%}"] for r, share in found.items()
    ]
    assert figure.dtype == np.uint8


def test_bars_are_as_long_as_the_shares():
    figure = contributions.bar_chart({"4x4": 0.125, "8x8": 0.5, "16x16": 0.375})
    blue = (figure == (0, 0x72, 0xB2)).all(-1)
    lengths = [n for n in blue.sum(1) if n]
    full = contributions.LONGEST_PIXELS + 1
    assert sorted(set(lengths)) == [full // 4 + 1, 271, full]
    assert lengths.count(full) == contributions.BAR_PIXELS
