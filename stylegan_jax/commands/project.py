"""Flags and help of `python -m stylegan_jax.project`."""

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command, Needs

DISTANCES = ("auto", "lpips", "efficientnet", "multiscale")
DISTANCE = flag.choice(
    "distance",
    "The distance between images: lpips is perceptual and uses VGG16; efficientnet "
    "uses the smaller EfficientNet-Lite0; multiscale compares pixels and edges "
    "over an image pyramid, and needs no weights; auto is lpips if its weights are in "
    "the cache folder, else multiscale.",
    "auto",
    DISTANCES,
)
VGG16 = flag.text(
    "vgg16",
    "FILE",
    "The weights of VGG16 for lpips.",
    absent="those in the cache folder; lpips downloads them if there are none",
)
EFFICIENTNET = flag.text(
    "efficientnet",
    "FILE",
    "The weights of EfficientNet-Lite0.",
    absent="in the cache folder or the extra `metrics`",
)
DISTANCE_NEEDS = {
    VGG16.name: Needs(DISTANCE.name, ("auto", "lpips")),
    EFFICIENTNET.name: Needs(DISTANCE.name, ("efficientnet",)),
}

COMMAND = Command(
    "project",
    "Find the latents whose images are nearest to given images. Images are projected "
    "in batches, and an interrupted command continues where it stopped.",
    (
        "--network=smileys64 --targets=photos --out=projected",
        "--network=smileys64 --targets=a.png,b.jpg --space=w+ --out=projected",
    ),
    {
        "Network": (*network.REFERENCE, network.RESOLUTION),
        "Targets": (
            flag.text(
                "targets",
                "FOLDER|FILES",
                "The images: a folder, or files separated by commas.",
                required=True,
            ),
            flag.choice(
                "crop",
                "How to crop each image: center crops to the aspect ratio of the "
                "network's images; none does not crop, and rejects other ratios.",
                "center",
                ("center", "none"),
            ),
            flag.text(
                "boxes",
                "FILE",
                "A JSON file with boxes, to which images are cropped first: "
                '{"a.png": [left, top, width, height], "folder/b.png": ...}.',
            ),
            flag.text(
                "landmarks",
                "FILE",
                "A JSON file with 4, 5 or 68 points of each face to align as in FFHQ: "
                '{"a.png": [[x, y], ...]}.',
            ),
            network.CLASS,
            network.LABEL,
            flag.switch(
                "fit_class",
                "Choose the class whose average image is nearest to each target.",
            ),
        ),
        "Search": (
            flag.choice(
                "space",
                "The latent: w is one vector for all style layers, and stays close to "
                "what the network generates; w+ is one for each, and fits better.",
                "w",
                ("w", "w+"),
            ),
            flag.choice(
                "noise",
                "The noise inputs: optimize also fits the maps, as the official "
                "projector does; const keeps them, so the latents alone determine the "
                "image; none uses no noise.",
                "optimize",
                ("optimize", "const", "none"),
            ),
            flag.choice(
                "transform",
                "The translation and rotation of StyleGAN3's images: fixed keeps the "
                "network's; fit also fits them.",
                "fixed",
                ("fixed", "fit"),
            ),
            DISTANCE,
            VGG16,
            EFFICIENTNET,
            flag.choice(
                "start",
                "The initial latent: average is the mean w, samples the nearest of "
                "some random w, random any random w, encoder the output of --encoder.",
                "average",
                ("average", "samples", "random", "encoder"),
            ),
            flag.text(
                "encoder",
                "FILE",
                "A file that `encoder` wrote, for --start=encoder.",
            ),
            flag.integer(
                "samples",
                "N",
                "The number of random latents for --start=samples.",
                256,
                minimum=1,
                maximum=1_000_000,
            ),
            flag.integer(
                "restarts",
                "N",
                "The number of runs for each image; the best is kept.",
                1,
                minimum=1,
                maximum=1000,
            ),
            flag.integer(
                "steps", "N", "The number of steps.", 1000, minimum=1, maximum=1_000_000
            ),
            flag.number(
                "learning_rate", "RATE", "The maximum learning rate.", 0.1, minimum=0.0
            ),
            flag.number(
                "stop_distance",
                "DISTANCE",
                "The distance at which a search stops early.",
                minimum=0.0,
                absent="none",
            ),
            flag.integer(
                "seed",
                "N",
                "The seed of the noise and of random starts.",
                303,
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
            flag.choice(
                "video",
                "The format of a video of each search: none writes no video, mp4 and "
                "webm need PyAV.",
                "none",
                ("none", "mp4", "webm", "webp", "gif"),
            ),
            flag.integer(
                "batch_size",
                "N",
                "The number of searches at a time, a multiple of the number of "
                "devices.",
                minimum=1,
                absent="up to 8 for each device, as memory allows",
            ),
        ),
    },
    (
        "Each image gets a folder with target.png, projection.png, difference.png (4 "
        "times the absolute difference), projected_w.npz for --latents of other "
        "programs, and projection.json with the settings and distances. grid.png shows "
        "all targets, projections and differences.",
        "Sizes are printed as WIDTHxHEIGHT, in pixels.",
    ),
    one_of=network.ONE_OF,
    needs={**DISTANCE_NEEDS, "samples": Needs("start", ("samples",))},
)
