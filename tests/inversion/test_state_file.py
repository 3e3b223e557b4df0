"""Files of interrupted projections that cannot be continued."""

import json

import numpy as np
import pytest

from stylegan_jax.inversion import state_file
from stylegan_jax.weights import safetensors

ABOUT = {"steps": 100, "transform": "fixed"}
EMPTY = {"fingerprint": ABOUT, "done": [0], "under_way": [], "best": []}
RUN = {"target": 1, "number": 0, "start_distance": 0.5, "frames": 0}


class Session:
    """Stands in for one of `projection`; keeps what is restored."""

    def restore(self, *content):
        self.content = content


def load(tmp_path, content, arrays=None):
    path, session = tmp_path / "unfinished.safetensors", Session()
    safetensors.write(path, arrays or {}, {state_file.KEY: json.dumps(content)})
    state_file.load(path, session, ABOUT)
    return session.content


def test_a_file_without_runs(tmp_path):
    assert load(tmp_path, EMPTY) == ({0}, {}, [])
    older = EMPTY | {"fingerprint": {"steps": 100}}
    assert load(tmp_path, older) == ({0}, {}, [])


@pytest.mark.parametrize(
    "content",
    [
        [],
        EMPTY | {"fingerprint": [1]},
        {"fingerprint": ABOUT},
        EMPTY | {"done": 3},
        EMPTY | {"done": [[]]},
        EMPTY | {"under_way": [RUN]},  # without its arrays
        EMPTY | {"under_way": [7]},
        EMPTY | {"under_way": [{}]},
        EMPTY | {"best": [{"target": 0, "ends": [], "fields": {}}]},
        EMPTY | {"best": [{"target": 0, "ends": [3], "fields": {"of": "others"}}]},
    ],
)
def test_a_damaged_file(tmp_path, content):
    with pytest.raises(ValueError, match="is damaged .* or delete .* to begin again"):
        load(tmp_path, content, {"other": np.zeros(3, np.float32)})


def test_arrays_in_place_of_trees(tmp_path):
    arrays = {"run0/point": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match="is damaged"):
        load(tmp_path, EMPTY | {"under_way": [RUN]}, arrays)
    arrays |= {"run0/mu": np.zeros(3), "run0/nu": np.zeros(3)}
    with pytest.raises(ValueError, match="is damaged"):
        load(tmp_path, EMPTY | {"under_way": [RUN]}, arrays)


def test_a_file_of_another_projection(tmp_path):
    other = EMPTY | {"fingerprint": ABOUT | {"steps": 9}, "done": "damaged"}
    with pytest.raises(ValueError, match="an interrupted projection with other steps"):
        load(tmp_path, other)
