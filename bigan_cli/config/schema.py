"""The configuration of a run: one frozen, typed tree, the same in memory and in TOML.

Each field declares a setting once: type, limits, default, description and flag. The options of
``bigan train`` (``make options``), ``bigan config init`` and the reference in the docs are made
from these declarations. The first sentence of a description is the flag's help; "By default
..." says what a missing value means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bigan_cli.config.flag import DATA, NETWORKS, RESULTS, TRAINING, Flag

ClassRef = int | str
Distortion = Literal[
    "elastic_coarse", "elastic_fine", "shuffle", "cutmix", "rotate", "rescale", "feature_noise"
]
Preset = Literal["fast", "balanced", "best"]
Augmentation = Literal["colour", "translation", "cutout"]
# Networks take images up to this side; larger ones are cut into tiles.
LARGEST_INPUT = 1024
Polygon = Annotated[tuple[tuple[float, float], ...], Field(min_length=3)]
Side = Annotated[int, Field(ge=8, le=16384)]


class Table(BaseModel):
    """One table of a config file: unknown keys are refused and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(Table):
    """Which images, and which of them are normal."""

    dataset: Annotated[
        str,
        Flag("--dataset", DATA, "NAME", note="--dataset NAME --help shows its options."),
    ] = Field("digits", description="Dataset; 'bigan datasets' lists them.")
    root: Annotated[Path | None, Flag("--data-root", DATA, "DIR")] = Field(
        None,
        description="Folder with the data. By default this machine's data cache.",
        examples=["path/to/images"],
    )
    download: Annotated[bool, Flag("--download/--no-download", DATA)] = Field(
        True, description="Download missing data."
    )
    protocol: Annotated[
        Literal["auto", "one-class", "leave-one-out", "folder"], Flag("--protocol", DATA, "NAME")
    ] = Field(
        "auto",
        description="How normal and test images are chosen. auto follows inlier, outlier and "
        "the dataset.",
    )
    inlier: Annotated[tuple[ClassRef, ...], Flag("--inlier", DATA, "CLASS")] = Field(
        (), description="Normal class, by index or name; all others are anomalous."
    )
    outlier: Annotated[tuple[ClassRef, ...], Flag("--outlier", DATA, "CLASS")] = Field(
        (), description="Anomalous class, by index or name; all others are normal."
    )
    outlier_portion: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | Literal["all"],
        Flag("--outlier-portion", DATA, "SHARE"),
    ] = Field(
        "all",
        description="Share of anomalies in the test set, or 'all' for the whole test split.",
    )
    image_size: Annotated[
        Side | tuple[Side, Side] | None, Flag("--image-size", DATA, "SIDE|HxW")
    ] = Field(
        None,
        description="Image size in pixels. A side, or [height, width]; with tile, a side is the "
        "shorter one, and more than 1024 is possible; with keep_aspect it is the shorter one, too. "
        "By default the dataset's own.",
        examples=[64],
        json_schema_extra={"words": "a side or [height, width], each from 8 to 16384"},
    )
    tile: Annotated[int | None, Flag("--tile", DATA, "SIDE")] = Field(
        None,
        ge=32,
        le=LARGEST_INPUT,
        description="Side of the tiles that large images are cut into, in pixels. They overlap, "
        "and an image's heatmap is stitched from theirs. Images keep their own size unless "
        "image_size is given. By default the networks take whole images.",
        examples=[256],
    )
    input_channels: Annotated[Literal[1, 3, 4] | None, Flag("--input-channels", DATA)] = Field(
        None,
        description="Channels: 1 grey, 3 RGB or 4 RGBA. By default the dataset's own.",
        examples=[3],
    )
    keep_aspect: bool = Field(
        False,
        description="Whether an image of another aspect ratio is fitted into the image size and "
        "mirrored at its borders, instead of stretched. The default of photographs.",
    )
    max_megapixels: int = Field(
        200,
        ge=1,
        le=4000,
        description="Largest image file read, in million pixels. Decoding takes up to 16 bytes of "
        "memory for each.",
    )
    sample_bits: int | None = Field(
        None,
        ge=9,
        le=16,
        description="Bits that samples of 16-bit grey images really use, 12 for many cameras. By "
        "default 16, or as the file declares.",
        examples=[12],
    )
    validation_portion: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="Share of the normal training images that selects the epoch. Of few images "
        "at least 50, or 15 % where that is less.",
    )
    calibration_portion: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="Share of the normal training images that sets the threshold. Of few images "
        "at least 100, or 25 % where that is less.",
    )
    shuffle_buffer_mb: int = Field(
        256,
        ge=1,
        le=1_000_000,
        description="Megabytes of images, or of their features, that are mixed in memory, for a "
        "dataset that is read again in every epoch (shards). The next ones are read meanwhile: it "
        "takes twice as much.",
    )
    block_cache_gb: int = Field(
        20,
        ge=0,
        description="Gigabytes of decoded images, or of features, of such datasets that are kept "
        "in the cache of this machine. 0 keeps none.",
    )
    exclude: Annotated[Path | None, Flag("--exclude", DATA, "FILE")] = Field(
        None,
        description="Images to leave out: a list of paths, or the CSV of 'bigan data check' with "
        "the column exclude filled in.",
        examples=["check/images.csv"],
    )
    roi: Annotated[Path | tuple[Polygon, ...] | None, Flag("--roi", DATA, "FILE")] = Field(
        None,
        description="Region of interest: a mask image, white inside. What is outside is neither "
        "learned nor scored. In a config file polygons are possible, too: [[[x, y], ...], ...] in "
        "pixels of the images. By default the whole image.",
        examples=["mask.png"],
        json_schema_extra={"words": "a mask image, or polygons of three or more points [x, y]"},
    )
    calibration: Literal["auto", "held-out", "cross-fitting"] = Field(
        "held-out",
        description="Images that set the threshold: held-out ones, or all of them by "
        "cross-fitting, for architectures on features. auto is cross-fitting up to 200 images, "
        "unless they are cut into tiles.",
    )
    folds: int = Field(
        5,
        ge=2,
        le=200,
        description="Folds of cross-fitting; each trains the networks once more. At most one "
        "for each image (leave-one-out).",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="The dataset's own options.")


class ModelConfig(Table):
    """The networks."""

    architecture: Annotated[str, Flag("--architecture", NETWORKS, "NAME")] = Field(
        "dcgan", description="Network architecture; 'bigan architectures' lists them."
    )
    latent_dim: Annotated[int, Flag("--latent-dim", NETWORKS)] = Field(
        32, ge=1, le=4096, description="Length of the latent vector z."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="The architecture's own options."
    )


class TrainConfig(Table):
    """How the networks are trained."""

    preset: Annotated[Preset, Flag("--preset", TRAINING, "NAME")] = Field(
        "balanced",
        description="Training effort: fast is a third of the dataset's usual epochs, balanced all "
        "of them, best all of them for each of three networks.",
    )
    epochs: Annotated[int, Flag("--epochs", TRAINING)] = Field(
        30, ge=1, description="Passes over the normal training images."
    )
    min_epoch_steps: int = Field(
        1,
        ge=1,
        description="Least number of steps in an epoch. Few images are passed over several times.",
    )
    max_epoch_steps: int | None = Field(
        None,
        ge=1,
        description="Steps of an epoch at most; by default it passes over all training images.",
        examples=[200],
    )
    selection: Literal["validation", "last"] = Field(
        "validation",
        description="Which epoch's networks score images: the epoch with the lowest "
        "reconstruction error on validation images, or the last.",
    )
    batch_size: Annotated[int, Flag("--batch-size", TRAINING)] = Field(
        64, ge=2, description="Batch size."
    )
    lr: Annotated[float, Flag("--lr", TRAINING, "RATE")] = Field(
        4e-4, gt=0, lt=1, description="Learning rate of Adam, for all networks."
    )
    disc_lr_factor: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Learning rate of the discriminators and their heads, as a multiple of lr.",
    )
    lr_schedule: Literal["constant", "cosine"] = Field(
        "constant",
        description="Learning rate over the run: constant, or falling along a half cosine to a "
        "twentieth.",
    )
    seed: Annotated[int, Flag("--seed", TRAINING)] = Field(
        0, ge=0, lt=2**31, description="Random seed."
    )
    members: Annotated[int, Flag("--members", TRAINING)] = Field(
        1,
        ge=1,
        le=100,
        description="Ensemble size: networks trained with different seeds, whose scores are "
        "averaged. The seeds are seed, seed + 1 and so on; the images are the same.",
    )
    device: Annotated[str, Flag("--device", TRAINING, "DEVICE")] = Field(
        "auto",
        pattern=r"(?i)^\s*(auto|cpu|mps|cuda(:\d+)?)\s*$",
        json_schema_extra={"words": "auto, cpu, cuda, cuda:N or mps"},
        description="Device: auto, cpu, cuda, cuda:N or mps. auto is CUDA, then MPS, then the CPU.",
    )
    precision: Annotated[Literal["auto", "fp32", "bf16"], Flag("--precision", TRAINING, "NAME")] = (
        Field(
            "auto",
            description="Floating-point precision of training. auto is bf16 where it is faster.",
        )
    )
    compile: Annotated[Literal["auto", "on", "off"], Flag("--compile", TRAINING, "WHEN")] = Field(
        "auto",
        description="Compilation of training steps. auto captures a CUDA graph on a GPU and "
        "replays it; on also uses torch.compile, which takes half a minute or more and was "
        "measured to gain nothing on a CPU; off does neither.",
    )
    loss: Literal["hinge", "logistic"] = Field(
        "hinge", description="Adversarial loss; logistic is that of the BiGAN papers."
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=0.5, description="One-sided smoothing of 'real' (logistic loss only)."
    )
    instance_noise: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Standard deviation of the noise added to D's images at the start.",
    )
    instance_noise_fraction: float = Field(
        0.5, ge=0, le=1, description="Share of the run over which that noise decays to zero."
    )
    augmentations: tuple[Augmentation, ...] = Field(
        (),
        description="Random augmentations of every image that D sees in the adversarial game, "
        "real and generated alike, for training on few images. Empty for none.",
    )
    reconstruction_weight: float = Field(
        10.0, ge=0, description="Weight of the image cycle |x - G(E(x))|; 0 is the plain BiGAN."
    )
    latent_cycle_weight: float = Field(
        1.0, ge=0, description="Weight of the latent cycle |z - E(G(z))|^2."
    )
    adversarial_image_cycle_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the adversarial image cycle: a discriminator D_xx separates (x, x) "
        "from (x, G(E(x))). 0 leaves it out.",
    )
    adversarial_latent_cycle_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the adversarial latent cycle: a discriminator D_zz separates (z, z) "
        "from (z, E(G(z))). 0 leaves it out.",
    )
    distortion_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of the discriminator's auxiliary task: separating images from their "
        "distorted copies. 0 leaves it out.",
    )
    distortions: tuple[Distortion, ...] = Field(
        ("elastic_coarse", "elastic_fine", "shuffle", "cutmix", "rotate"),
        min_length=1,
        description="Distortions of those copies.",
    )
    rotation_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of predicting the rotation of an image (in steps of 90 degrees), for "
        "images with a fixed orientation. 0 leaves it out.",
    )
    shift_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of predicting the shift of an image in quarters of its sides, for "
        "objects at a fixed position. 0 leaves it out.",
    )
    flip_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of predicting whether an image was mirrored, for images that are not "
        "symmetric. 0 leaves it out.",
    )
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay of the averaged networks used for scoring."
    )


class ScoreConfig(Table):
    """How images are scored."""

    components: tuple[str, ...] = Field(
        (),
        description="Score components to combine; 'bigan components' lists them. Empty for the "
        "default ones.",
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="Weight of a component in the mean, 0 or more. By default the component's own.",
    )
    fpr: Annotated[float, Flag("--fpr", RESULTS, "SHARE")] = Field(
        0.05,
        gt=0,
        lt=1,
        description="False-positive rate of the threshold: share of normal images that may be "
        "called anomalous.",
    )
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="A component's own options, by its name."
    )


class OutputConfig(Table):
    """What is written, and where."""

    save_dir: Annotated[Path, Flag("--save-dir", RESULTS, "DIR")] = Field(
        Path("results"), description="Run directory."
    )
    save_interval: Annotated[int, Flag("--save-interval", RESULTS)] = Field(
        10, ge=1, description="Epochs between two saves of images and models."
    )
    keep_models: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        5,
        description="Number of the latest saved epochs whose model files are kept, or 'all'. The "
        "untrained network, the best and the last model are always kept.",
    )
    trackers: Annotated[tuple[str, ...], Flag("--tracker", RESULTS, "NAME")] = Field(
        (),
        description="Tracker that the training is reported to, such as tensorboard or mlflow. "
        "Its plugin must be installed; 'bigan plugins' lists them.",
    )
    tracker_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="A tracker's own options, by its name."
    )
    preview_images: int = Field(
        32,
        ge=1,
        le=256,
        description="Number of images in each image grid, the same ones at every save.",
    )


class RunConfig(Table):
    """Everything that decides a run."""

    schema_version: Literal[1] = Field(1, alias="schema", description="Format of this file.")
    plugins: Annotated[tuple[str, ...], Flag("--plugin", metavar="FILE")] = Field(
        (), description="Local plugin file (Python) to load."
    )
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    score: ScoreConfig = Field(default_factory=ScoreConfig)
    output: OutputConfig = Field(default_factory=OutputConfig)
