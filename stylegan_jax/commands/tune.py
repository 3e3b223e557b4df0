"""Flags and help of `python -m stylegan_jax.tune`."""

from stylegan_jax.commands import network
from stylegan_jax.commands.project import DISTANCE, DISTANCE_NEEDS, EFFICIENTNET, VGG16
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command, Needs

COMMAND = Command(
    "tune",
    "Fine-tune a generator around projected images, so that their latents reproduce "
    "them closely and can be edited (pivotal tuning).",
    (
        "--network=smileys64 --projections=projected --out=tuned",
        "--network=smileys64 --projections=projected --locality --out=tuned",
    ),
    {
        "Network": (*network.REFERENCE, network.RESOLUTION),
        "Images": (
            flag.text(
                "projections",
                "DIRECTORY",
                "The images and their latents: the --out of `project`.",
                required=True,
            ),
            network.CLASS,
            network.LABEL,
        ),
        "Tuning": (
            flag.integer(
                "steps",
                "N",
                "The maximum number of steps for each batch of images.",
                350,
                minimum=1,
                maximum=1_000_000,
            ),
            flag.number(
                "learning_rate", "RATE", "The learning rate of Adam.", 3e-4, minimum=0.0
            ),
            DISTANCE,
            VGG16,
            EFFICIENTNET,
            flag.number(
                "stop_distance",
                "DISTANCE",
                "Tuning stops once every image is at most this far from its target; 0 "
                "never stops early.",
                minimum=0.0,
                absent="0.06 for lpips, 0.02 for efficientnet, 0.02 for multiscale",
            ),
            flag.number(
                "stop_rms",
                "RMS",
                "Tuning also stops once the root mean square difference of the pixels, "
                "in [-1, 1], is at most this for every image.",
                minimum=0.0,
                absent="no such limit",
            ),
            flag.switch(
                "locality",
                "Keep the images of other latents unchanged (locality "
                "regularization), which about doubles the time. Networks with classes "
                "need --class or --label.",
            ),
            flag.number(
                "locality_radius",
                "DISTANCE",
                "The distance of these latents from that of an image, over all style "
                "layers.",
                30.0,
                minimum=0.0,
            ),
            flag.choice(
                "noise",
                "The noise inputs: const uses the maps of the network, none uses no "
                "noise.",
                "const",
                ("const", "none"),
            ),
            flag.integer(
                "seed",
                "N",
                "The seed of the latents of --locality.",
                0,
                minimum=0,
                maximum=2**32 - 1,
            ),
        ),
        "Output": (
            flag.text(
                "out",
                "DIRECTORY",
                "The directory for the results, on a disk; it is created if necessary.",
                required=True,
            ),
            flag.integer(
                "batch_size",
                "N",
                "The number of images in a step, a multiple of the number of devices; "
                "with more images, the steps cycle through the batches.",
                minimum=1,
                absent="up to 8 for each device, as memory allows",
            ),
        ),
    },
    (
        "The directory gets tuned.safetensors, the whole network, and "
        "delta.safetensors, its difference from --network; every --network accepts "
        "both. It also gets the images, tuned.json with the settings and distances, "
        "projected_w.npz with the latents, and grid.png, which shows targets, "
        "projections and tuned images.",
        "Sizes are printed as WIDTHxHEIGHT, in pixels.",
    ),
    one_of=network.ONE_OF,
    needs={
        **DISTANCE_NEEDS,
        "locality_radius": Needs("locality"),
        "seed": Needs("locality"),
    },
)
