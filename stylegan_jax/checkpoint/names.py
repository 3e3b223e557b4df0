"""Names of stored arrays: the table that keeps older checkpoints loadable.

An array is stored under its item and its path in the item's pytree, for example
"training/params/generator/mapping/dense0/bias/bias". Checkpoints stay loadable
forever: a change of the state's structure adds a row here.
"""

import re

# Name in older checkpoints -> current name; regular expressions for whole names.
RENAMED = (
    (r"training/optimizer/(\w+)/count", r"training/optimizer/\1/0/count"),
    (r"training/optimizer/(\w+)/first/(.+)", r"training/optimizer/\1/0/mu/\2"),
    (r"training/optimizer/(\w+)/second/(.+)", r"training/optimizer/\1/0/nu/\2"),
)
# Array that older checkpoints lack -> its initial value, unless `restore` is given
# another one.
ADDED = {
    "training/augment_probability": 0.0,
    "training/real_signs": 0.0,
    "training/score_means": 0.0,
}


def current_name(item: str, stored_name: str) -> str:
    """Return the current name, within its item, of an array in a checkpoint."""
    name = f"{item}/{stored_name}"
    for old, new in RENAMED:
        if match := re.fullmatch(old, name):
            return match.expand(new).removeprefix(f"{item}/")
    return stored_name
