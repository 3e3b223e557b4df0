"""Transforms of each policy: those of the groups in its name."""

import pytest

from stylegan_jax.augment.policies import POLICIES
from stylegan_jax.augment.transforms import TRANSFORMS

GROUPS = (  # in the order of the letters in "bgcfnc"
    ("b", {"xflip", "rotate90", "xint"}),
    ("g", {"scale", "rotate", "rotate_post", "aniso", "xfrac"}),
    ("c", {"brightness", "contrast", "lumaflip", "hue", "saturation"}),
    ("f", {"imgfilter"}),
    ("n", {"noise"}),
    ("c", {"cutout"}),
)


@pytest.mark.parametrize("groups", range(len(GROUPS) + 1))
def test_policy(groups):
    name = "".join(letter for letter, _ in GROUPS[:groups]) or "none"
    wanted = set().union(*(names for _, names in GROUPS[:groups]))
    multipliers = {t: POLICIES[name].multiplier(t) for t in TRANSFORMS}
    assert multipliers == {t: float(t in wanted) for t in TRANSFORMS}


def test_there_are_no_other_policies_or_transforms():
    assert len(POLICIES) == len(GROUPS) + 1
    assert set().union(*(names for _, names in GROUPS)) == set(TRANSFORMS)
