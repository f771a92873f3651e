"""The configuration of a run: one frozen, typed tree, the same in memory and in TOML.

Every default stands here once. Command-line flags, ``bigan config init`` and the reference in
the docs are made from the descriptions of these fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ClassRef = int | str
Distortion = Literal["wide_warp", "fine_warp", "shuffle", "stitch", "turn", "stretch"]
Augmentation = Literal["colour", "translation", "cutout"]
Side = Annotated[int, Field(ge=8, le=1024)]


class Table(BaseModel):
    """One table of a run file: unknown keys are refused and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(Table):
    """Which images, and which of them are normal."""

    dataset: str = Field("digits", description="Data set; 'bigan datasets' lists them.")
    root: Path | None = Field(
        None,
        description="Folder with the data; by default this machine's data cache.",
        examples=["path/to/images"],
    )
    download: bool = Field(True, description="Whether missing files may be downloaded.")
    protocol: Literal["auto", "one-class", "leave-one-out", "folder"] = Field(
        "auto",
        description="How normal and test images are chosen; auto follows inlier, outlier and "
        "the data set.",
    )
    inlier: tuple[ClassRef, ...] = Field(
        (), description="Normal classes, by index or name; all others are anomalies."
    )
    outlier: tuple[ClassRef, ...] = Field(
        (), description="Anomalous classes, by index or name; all others are normal."
    )
    outlier_portion: Annotated[float, Field(gt=0, lt=1)] | Literal["all"] = Field(
        "all",
        description="Share of anomalies in the test set, or 'all' for the whole test split.",
    )
    image_size: Side | tuple[Side, Side] | None = Field(
        None,
        description="Side, or [height, width], in pixels; by default the data set's own.",
        examples=[64],
    )
    input_channels: Literal[1, 3, 4] | None = Field(
        None,
        description="1 grey, 3 RGB, 4 RGBA; by default the data set's own.",
        examples=[3],
    )
    validation_portion: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="Share of the training normals that chooses the epoch; of "
        "few images at least 50 of them, or 15 % where that is less.",
    )
    calibration_portion: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="Share of the training normals that sets the threshold; of "
        "few images at least 100 of them, or 25 % where that is less.",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="The data set's own options.")


class ModelConfig(Table):
    """The networks."""

    architecture: str = Field("dcgan", description="'bigan architectures' lists them.")
    latent_dim: int = Field(32, ge=1, le=4096, description="Length of the latent vector z.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="The architecture's own options."
    )


class TrainConfig(Table):
    """How the networks learn."""

    preset: Literal["auto", "fast", "balanced", "best"] = Field(
        "auto",
        description="How far to go: fast is a third of the data set's usual epochs, balanced all "
        "of them, best as many for each of three members; auto is balanced.",
    )
    epochs: int = Field(30, ge=1, description="Passes over the training normals.")
    min_epoch_steps: int = Field(
        1,
        ge=1,
        description="Steps of an epoch at least: over few images it passes several times.",
    )
    selection: Literal["validation", "last"] = Field(
        "validation",
        description="Which epoch's networks images are scored with: of the one that rebuilds "
        "validation normals best, or of the last.",
    )
    batch_size: int = Field(64, ge=2, description="Images a step.")
    lr: float = Field(4e-4, gt=0, lt=1, description="Adam's learning rate for all networks.")
    seed: int = Field(0, ge=0, lt=2**31, description="Decides every random choice of the run.")
    members: int = Field(
        1,
        ge=1,
        le=100,
        description="Networks to train one after another, with the seeds seed, seed + 1 and so "
        "on, on the same images; the score is the mean of theirs.",
    )
    device: str = Field(
        "auto",
        pattern=r"(?i)^\s*(auto|cpu|mps|cuda(:\d+)?)\s*$",
        json_schema_extra={"words": "auto, cpu, cuda, cuda:N or mps"},
        description="What the networks run on; auto is CUDA, then MPS, then the CPU.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Arithmetic of the networks in training; auto is bf16 where it is faster.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="How training steps are prepared: auto records them once on a CUDA GPU and "
        "replays them; on has torch.compile make kernels for the networks as well, which takes "
        "half a minute or more and was measured to gain nothing on a CPU; off does neither.",
    )
    loss: Literal["hinge", "logistic"] = Field(
        "hinge", description="Adversarial loss; logistic is the papers' own."
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=0.5, description="One-sided smoothing of 'real' (logistic loss only)."
    )
    instance_noise: float = Field(
        0.1, ge=0, le=1, description="Standard deviation of the noise D sees at the start."
    )
    instance_noise_portion: float = Field(
        0.5, ge=0, le=1, description="Share of the run over which that noise decays to zero."
    )
    augmentations: tuple[Augmentation, ...] = Field(
        (),
        description="How every image that D sees in the adversarial game is changed at random, "
        "real and generated alike, for training on few images; empty leaves it out.",
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
        description="Weight of fooling a discriminator D_xx that tells (x, x) from (x, G(E(x))); "
        "0 leaves it out.",
    )
    adversarial_latent_cycle_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of fooling a discriminator D_zz that tells (z, z) from (z, E(G(z))); "
        "0 leaves it out.",
    )
    distortion_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of the discriminator's second task, telling images from distorted "
        "copies of themselves; 0 leaves it out.",
    )
    distortions: tuple[Distortion, ...] = Field(
        ("wide_warp", "fine_warp", "shuffle", "stitch", "turn"),
        min_length=1,
        description="How those copies are distorted.",
    )
    rotation_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of telling how often images were turned by 90 degrees, for images "
        "that have a natural way up; 0 leaves it out.",
    )
    shift_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of telling by which quarters of its sides an image was moved, for "
        "images that stand in one place; 0 leaves it out.",
    )
    flip_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of telling whether an image was mirrored, for images that are not "
        "the same in a mirror; 0 leaves it out.",
    )
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay of the averaged networks used for scoring."
    )


class ScoreConfig(Table):
    """How images are scored."""

    components: tuple[str, ...] = Field(
        (),
        description="Score components to combine, of those that 'bigan components' lists; empty "
        "means the recommended ones.",
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="Weight of a component in the mean, 0 or more; by default its own.",
    )
    fpr: float = Field(
        0.05, gt=0, lt=1, description="Share of normal images that may be called anomalous."
    )
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="A component's own options, by its name."
    )


class OutputConfig(Table):
    """What is written, and where."""

    save_dir: Path = Field(Path("results"), description="The run directory.")
    save_interval: int = Field(
        10, ge=1, description="Epochs between two saves of pictures and models."
    )
    probe_images: int = Field(
        32, ge=1, le=256, description="Images in each picture, the same ones at every save."
    )


class RunConfig(Table):
    """Everything that decides a run."""

    schema_version: Literal[1] = Field(1, alias="schema", description="Format of this file.")
    plugins: tuple[str, ...] = Field((), description="Local plugin files to load.")
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    score: ScoreConfig = Field(default_factory=ScoreConfig)
    output: OutputConfig = Field(default_factory=OutputConfig)
