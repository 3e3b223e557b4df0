"""Conventions of the official training code that no setting expresses, by family."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class OfficialTraining:
    """Facts about the official training code of a family.

    Attributes:
      generator_first: True if a step updates the generator before the discriminator.
      epsilon_placement: place of Adam's epsilon, see `optimizer.py`.
      averages_once: True if only the discriminator's loss updates the average of w.
    """

    generator_first: bool
    epsilon_placement: str
    averages_once: bool = False


# `model.family` -> facts about its official code.
OFFICIAL = {
    "stylegan1": OfficialTraining(
        generator_first=False, epsilon_placement="tensorflow"
    ),
    "stylegan2": OfficialTraining(generator_first=True, epsilon_placement="pytorch"),
    "stylegan3": OfficialTraining(
        generator_first=True, epsilon_placement="pytorch", averages_once=True
    ),
}
