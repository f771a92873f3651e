"""The command-line flag of a setting."""

from __future__ import annotations

from dataclasses import dataclass

DATA, NETWORKS, TRAINING, RESULTS = "Data", "Networks", "Training", "Results"
ARCHITECTURE = "Options of the architecture (dcgan; others may refuse them)"


@dataclass(frozen=True)
class Flag:
    """Metadata of a field of the schema that has a flag.

    The flag's help is the first sentence of the field's description, and its default the field's.

    Attributes:
        names: As in ``"--epochs"``, or ``"--tanh/--sigmoid"`` for the two values of a field.
        panel: Heading of the help page.
        metavar: Placeholder of the value; empty for that of its type. ``FILE`` and
            ``DIR`` take paths.
        note: A further sentence for the help page.
    """

    names: str
    panel: str = ""
    metavar: str = ""
    note: str = ""


# Flags for options of architectures, which a plugin declares without knowing of a command line.
ARCHITECTURE_FLAGS = {
    "feature_maps_gen": Flag("--feature-maps-gen", ARCHITECTURE),
    "feature_maps_disc": Flag("--feature-maps-disc", ARCHITECTURE),
    "dropout_rate": Flag("--dropout-rate", ARCHITECTURE, "RATE"),
    "output": Flag("--tanh/--sigmoid", ARCHITECTURE),
    "spectral_norm": Flag("--spectral-norm/--no-spectral-norm", ARCHITECTURE),
}
