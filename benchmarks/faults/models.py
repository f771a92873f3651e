"""Damaged model files: refused in one line or harmless, never other scores without a word.

Half are accidents (flipped bits, cuts, zeros, random bytes), which the checksum must find. Half
are changed on purpose and have a valid checksum: header values of other types and ranges, huge
networks, tensors of other shapes and types, nested JSON. Such a file is another model; it may
have other scores, which must be finite, but no error other than a refusal.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import commands
import damage
import sweep

_SECONDS = 20


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    options = sweep.arguments(__doc__, 3000).parse_args(words)
    started, tally = time.monotonic(), sweep.Tally("damaged models")
    with sweep.scratch() as folder:
        commands.warm_up()
        run = sweep.train_small(folder / "run")
        models = _Models(run / "models" / "best.safetensors", folder / "damaged.safetensors")
        for _, rng in sweep.cases(options):
            if rng.random() < 0.5:
                _accident(models, rng, tally)
            else:
                _change(models, rng, tally)
    return tally.report(options, started)


class _Models:
    """A whole model file, and how a changed one scores.

    Args:
        whole: The whole file.
        path: Where changed ones are written.
    """

    def __init__(self, whole: Path, path: Path) -> None:
        import numpy as np
        import torch
        from safetensors.torch import load

        from bigan_cli.config.load import load_config
        from bigan_cli.storage.model_header import FORMAT

        self.data = whole.read_bytes()
        self.path = path
        self.header_end = 8 + int.from_bytes(self.data[:8], "little")
        self.header = json.loads(json.loads(self.data[8 : self.header_end])["__metadata__"][FORMAT])
        self.tensors = load(self.data)
        self._pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), np.uint8)
        self._cpu = torch.device("cpu")
        self._registry = load_config().registry
        self._scores = self._score(self.data)

    def outcome(self, data: bytes) -> tuple[str, bool]:
        """Return how a file of *data* ends, and whether its scores are those of the whole one."""
        import numpy as np

        from bigan_cli.errors import BiganError

        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(int(commands.patient(_SECONDS)))
        try:
            scores = self._score(data)
        except BiganError as error:
            message = f"{error.message} {error.hint}"
            if "\n" in message or len(message) > commands.SCREEN:
                return "more than a line", False
            return "refused", False
        except TimeoutError:
            return "hang", False
        except Exception as error:  # noqa: BLE001  counted
            return f"internal error ({type(error).__name__}: {str(error)[:200]})", False
        finally:
            signal.alarm(0)
        if not np.isfinite(scores).all():
            return "scores that are not finite", False
        return "scored", bool(np.array_equal(scores, self._scores))

    def _score(self, data: bytes) -> Any:
        from bigan_cli.storage.model_file import load_detector

        self.path.write_bytes(data)
        return load_detector(self.path, self._cpu, self._registry).score(self._pixels).score


def _too_late(*_: object) -> None:
    raise TimeoutError


def _accident(models: _Models, rng: Any, tally: sweep.Tally) -> None:
    end = models.header_end if rng.random() < 0.5 else None
    data = damage.damaged(models.data, rng, end=end)
    outcome, same = models.outcome(data)
    if outcome == "scored":
        outcome = "same scores" if same else "other scores without a word"
    tally.add("accident", outcome, fault=outcome not in ("refused", "same scores"))


def _change(models: _Models, rng: Any, tally: sweep.Tally) -> None:
    from safetensors.torch import save

    from bigan_cli.storage.checksum import UNKNOWN, insert_checksum
    from bigan_cli.storage.model_header import FORMAT

    header, tensors = json.loads(json.dumps(models.header)), dict(models.tensors)
    kind = rng.choice(("header value", "huge sizes", "tensor", "nesting"))
    text, what = None, ""
    if kind == "header value":
        what = str(damage.change_value(header, rng))
    elif kind == "huge sizes":
        what = _enlarge(header, rng)
    elif kind == "tensor":
        what = _change_tensor(tensors, rng)
    else:
        depth = rng.choice((10, 1000, 100_000))
        text = rng.choice(("[" * depth, '{"x":' * depth, "[" * depth + "]" * depth))
    mark = {"x": json.dumps({"sha256": UNKNOWN})} if text is not None else {}
    try:
        text = text or json.dumps(header | {"sha256": UNKNOWN})
        data = insert_checksum(save(tensors, metadata={FORMAT: text, **mark}))
    except Exception:  # noqa: BLE001  no such file can be written
        tally.add(kind, "cannot be written")
        return
    outcome, same = models.outcome(data)
    if outcome == "scored":
        outcome = "same scores" if same else "another valid model"
    known = ("refused", "same scores", "another valid model")
    tally.add(kind, outcome, what, fault=outcome not in known)


def _enlarge(header: dict[str, Any], rng: Any) -> str:
    size = rng.choice((64, 512, 4096, 65_536, 10**6, 10**9, 10**18))
    config, shape = header["config"], header["image_shape"]
    where: tuple[tuple[dict[str, Any], str], ...] = (
        (config["model"], "latent_dim"),
        (config["model"]["options"], "feature_maps_gen"),
        (config["model"]["options"], "feature_maps_disc"),
        (config["data"], "image_size"),
        (config["data"], "tile"),
        (config["data"], "max_megapixels"),
        (config["train"], "members"),
        (config["train"], "batch_size"),
        (header, "batch_size"),
        (shape, "height"),
        (shape, "width"),
        (shape, "channels"),
        (header["heads"], "distortion"),
    )
    for table, key in rng.sample(where, rng.choice((1, 1, 2, 3))):
        table[key] = size
    return str(size)


def _change_tensor(tensors: dict[str, Any], rng: Any) -> str:
    import torch

    name = rng.choice(sorted(tensors))
    tensor = tensors.pop(name)
    flat = tensor.flatten()
    types = (torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8, torch.bfloat16)
    change = rng.choice(
        (
            lambda: None,
            lambda: flat,
            lambda: flat[:1],
            lambda: flat[:0],
            lambda: tensor[None],
            lambda: tensor[..., :-1] if tensor.ndim else tensor,
            lambda: torch.cat([tensor, tensor]) if tensor.ndim else tensor,
            lambda: tensor.T if tensor.ndim == 2 else tensor,
            lambda: torch.zeros_like(tensor),
            lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor,
            lambda: torch.full_like(tensor, 6e4) if tensor.is_floating_point() else tensor,
            lambda: tensor.to(rng.choice(types)),
            lambda: tensor.to(torch.float8_e4m3fn) if tensor.is_floating_point() else tensor,
            lambda: tensor.to(torch.complex64) if tensor.is_floating_point() else tensor,
        )
    )
    changed = change()
    if changed is not None:
        tensors[name] = changed.contiguous().clone()
    if rng.random() < 0.1:
        tensors[rng.choice(("x", f"{name}.x", "members.7.networks.x"))] = torch.zeros(3)
    return f"{name}: {None if changed is None else (changed.dtype, tuple(changed.shape))}"


if __name__ == "__main__":
    sys.exit(main())
