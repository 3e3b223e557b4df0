"""Transforms of each policy: those of the groups in its name."""

import itertools

import pytest

from stylegan_jax.augment.policies import POLICIES, DiffPolicy, PseudoPolicy
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
    diff = [name for name, p in POLICIES.items() if isinstance(p, DiffPolicy)]
    names = ("color", "translation", "cutout")
    chosen = (c for n in (1, 2, 3) for c in itertools.combinations(names, n))
    assert sorted(diff) == sorted(map(",".join, chosen))
    for name in diff:
        used = {n for n in names if getattr(POLICIES[name], n)}
        assert used == set(name.split(","))
    assert POLICIES["pseudo"] == PseudoPolicy()
    assert len(POLICIES) == len(GROUPS) + 1 + len(diff) + 1
    assert set().union(*(names for _, names in GROUPS)) == set(TRANSFORMS)
