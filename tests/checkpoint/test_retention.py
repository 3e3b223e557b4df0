"""Which checkpoints are kept."""

from stylegan_jax.checkpoint import Checkpoints
from tests.checkpoint.states import make_state, open_


def test_the_best_are_kept_beside_the_newest(tmp_path):
    scores = {10: -5.0, 20: -3.0, 30: None, 40: -9.0, 50: -3.0, 60: -4.0}
    kept = []
    for half in ((10, 20, 30), (40, 50, 60)):  # by two runs of the program
        checkpoints = Checkpoints(tmp_path, keep=1, keep_best=2)
        for step in half:
            checkpoints.save(step, {"state": make_state(step)}, {}, scores[step])
            checkpoints.wait()
        checkpoints.close()
        kept.append(sorted(int(p.name) for p in tmp_path.iterdir()))
    # Of equals the newer; a reader, and one without scores, see the newest.
    assert kept == [[10, 20, 30], [20, 50, 60]]
    checkpoints, warned = open_(tmp_path)
    assert checkpoints.restore({"state": make_state(0)})[0] == 60
    assert not warned
