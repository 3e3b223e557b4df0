"""Worker of test_tfds.py: one of two processes that open the same unprepared set."""

import time

import numpy as np

from stylegan_jax import config
from stylegan_jax.data.formats.tfds import open_split
from stylegan_jax.runtime import processes
from stylegan_jax.runtime.tensorflow import tensorflow


def run(directory: str, port: str, process: str) -> None:
    processes.initialize(f"127.0.0.1:{port}", 2, int(process), 30)
    tensorflow()
    import tensorflow_datasets as tfds

    class Slow(tfds.core.GeneratorBasedBuilder):
        """A data set that takes a second to generate."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(4, 4, 3))
            features = tfds.features.FeaturesDict({"image": image})
            return self.dataset_info_from_configs(features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            print("generates", flush=True)
            time.sleep(1)
            for i in range(3):
                yield i, {"image": np.zeros((4, 4, 3), np.uint8)}

    data = config.Data(source="tfds", tfds_name="slow", tfds_data_dir=directory)
    with processes.ending_together():
        processes.exchange("imported", "")
        print(open_split(data).num_images)
        processes.finish()
