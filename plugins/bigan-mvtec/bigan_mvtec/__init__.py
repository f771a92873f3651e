"""Industrial inspection with ground-truth masks for bigan: ``mvtec`` and ``visa``.

Both are read from where they were unpacked; neither is downloaded, since their licences require
the terms accepted first (MVTec AD: Bergmann et al. 2019; VisA: Zou et al. 2022).
"""

from bigan_cli.contracts import Dataset
from bigan_cli.hookspecs import hookimpl
from bigan_mvtec.mvtec import Mvtec
from bigan_mvtec.visa import Visa

__all__ = ["Mvtec", "Visa", "bigan_datasets"]


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide ``mvtec`` and ``visa``."""
    return [Mvtec, Visa]
