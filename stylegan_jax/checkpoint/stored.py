"""Reading and verification of one checkpoint on disk."""

import dataclasses
from collections.abc import Mapping

import orbax.checkpoint as ocp
from etils import epath

from stylegan_jax.checkpoint import failures, manager
from stylegan_jax.checkpoint.failures import DamagedError
from stylegan_jax.checkpoint.integrity import (
    PyTree,
    json_checksum,
    named_arrays,
    signature,
)
from stylegan_jax.checkpoint.items import fill_template, match_names

META = "meta"
INTEGRITY = "integrity"


@dataclasses.dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint of a directory.

    Its methods raise DamagedError if the files differ from what was written, and
    CheckpointError if they could not be read. All processes must call them.

    Attributes:
      orbax: manager of the directory.
      arrays: handler of the manager.
      directory: directory of the checkpoints.
      step: number of the checkpoint.
    """

    orbax: ocp.CheckpointManager
    arrays: manager.ArrayHandler
    directory: epath.Path
    step: int

    def __str__(self) -> str:
        """Describe it for messages."""
        return f"checkpoint {self.step} in {self.directory}"

    def read_json(self) -> tuple[dict, dict]:
        """Return the metadata, and the signature of each item."""
        meta, integrity = self.read_integrity()
        return meta, integrity["items"]

    def read_integrity(self) -> tuple[dict, dict]:
        """Return the metadata, and the description of all that was saved."""
        with failures.reading(str(self)):
            restored = self.orbax.restore(
                self.step,
                args=ocp.args.Composite(
                    **{META: ocp.args.JsonRestore(), INTEGRITY: ocp.args.JsonRestore()}
                ),
            )
            meta, integrity = restored[META], restored[INTEGRITY]
            if json_checksum(meta) != integrity["meta"]:
                raise ValueError("the checksum of the metadata differs")
            if not isinstance(integrity["items"], dict):
                raise ValueError("the list of its items is unreadable")
        return meta, integrity

    def read(
        self, templates: dict[str, PyTree], initial: Mapping[str, float]
    ) -> tuple[dict[str, PyTree], dict]:
        """Return items in the structure of their templates, and the metadata.

        Args:
          templates: item -> its tree of abstract arrays.
          initial: initial values of arrays that older checkpoints may lack.

        Raises:
          ValueError: if an intact checkpoint does not match the templates.
        """
        meta, saved = self.read_json()
        names = {
            item: match_names(str(self), item, template, saved)
            for item, template in templates.items()
        }
        if not templates:
            return {}, meta
        with failures.reading(str(self)):
            arguments = {}
            for item, template in templates.items():
                leaves = named_arrays(template)
                arguments[item] = self.arrays.restore_args(
                    self.directory / str(self.step) / item,
                    {stored: leaves[name] for stored, name in names[item].items()},
                )
            restored = self.orbax.restore(
                self.step, args=ocp.args.Composite(**arguments)
            )
        arrays = {item: manager.stored_arrays(restored[item]) for item in templates}
        # Computed before any comparison, because a process stops at a difference.
        signatures = {item: signature(leaves) for item, leaves in arrays.items()}
        with failures.reading(str(self)):
            for item, actual in signatures.items():
                _check_signature(item, actual, saved[item])
        filled = {}
        for item, template in templates.items():
            renamed = {
                name: arrays[item][stored] for stored, name in names[item].items()
            }
            filled[item] = fill_template(item, template, renamed, initial)
        return filled, meta


def _check_signature(item: str, actual: dict[str, list], saved: dict) -> None:
    """Raise DamagedError unless the arrays are those that were saved."""
    changed = [name for name, described in saved.items() if actual[name] != described]
    if changed:
        raise DamagedError(
            f"the checksum of `{item}/{changed[0]}` differs ({len(changed)} of the "
            f"{len(actual)} arrays of `{item}`): the bytes on disk are not those that "
            "were written"
        )
