"""Which checkpoints are kept."""

import dataclasses

from orbax.checkpoint.checkpoint_managers import preservation_policy


@dataclasses.dataclass
class Best(preservation_policy.PreservationPolicy):
    """Preserves the `count` checkpoints of the highest scores, of equals the newer."""

    count: int
    scores: dict[int, float]

    def should_preserve(self, checkpoints, *, context):
        """Whether each is one of them."""
        del context
        steps = [info.step for info in checkpoints if info.step in self.scores]
        ranked = sorted(steps, key=lambda step: (self.scores[step], step), reverse=True)
        best = ranked[: self.count]
        return [info.step in best for info in checkpoints]
