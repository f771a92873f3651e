"""Serving models over HTTP."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bigan_cli.errors import UsageError
from bigan_cli.extras import require_extra
from bigan_cli.formatting import count
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import find_model, load_model, set_batch_size

_MODULES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")
# Bodies of all requests together, in units of the largest one.
_BODIES_TOGETHER = 8
_BODY_SECONDS = 30.0
# Connections beyond those whose images wait.
_SPARE_CONNECTIONS = 1024


def serve(
    models: Mapping[str, Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    checkpoint: str = "best",
    device: str = "auto",
    plugins: Sequence[Path] = (),
    fpr: float | None = None,
    review_fpr: float | None = None,
    max_megapixels: int = 64,
    max_body_megabytes: int = 32,
    queue_size: int = 256,
    callbacks: Callbacks | None = None,
) -> None:
    """Score images sent by HTTP until ``should_stop`` returns True.

    Requests in progress are answered before this returns.

    Args:
        models: Name -> run directory or model file. The first is used where a request names none.
        host: The address to listen on; only this machine reaches the default one.
        port: The port to listen on; 0 takes any free one.
        checkpoint: ``best``, ``last`` or a saved epoch.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run.
        fpr: The false-positive rate of the labels; by default each model's own.
        review_fpr: A larger rate, at which images are labelled for a review.
        max_megapixels: Images of more million pixels are refused.
        max_body_megabytes: Requests of more million bytes are refused.
        queue_size: Images that may be in progress at a time; more are answered with 429.
        callbacks: Receive notes and warnings.

    Raises:
        UsageError: The address cannot be listened on, a package is missing, there is no such
            run, or a model has too few calibration images for a rate.
        DataError: A model is damaged.
    """
    callbacks = callbacks or Callbacks()
    require_extra("serve", *_MODULES)
    for rate in (fpr, review_fpr):
        if rate is not None:
            check_fpr(rate)
    files = {name: find_model(run, checkpoint).file for name, run in models.items()}
    if not files:
        raise UsageError("no model to serve", "name a run")

    from bigan_cli.data.image_file import DecodeOptions
    from bigan_cli.workflows.score_batches import Rule
    from bigan_cli.workflows.serving.application import Application
    from bigan_cli.workflows.serving.metrics import Metrics
    from bigan_cli.workflows.serving.scoring_queue import ScoringQueue
    from bigan_cli.workflows.serving.server import open_socket, run_server

    listening = open_socket(host, port)
    queues: dict[str, ScoringQueue] = {}
    metrics = Metrics(lambda: sum(each.images for each in queues.values()))
    workers = min(4, os.cpu_count() or 1)
    with listening, ThreadPoolExecutor(workers, thread_name_prefix="decode") as decoders:
        try:
            for name, file in files.items():
                model = load_model(file, device, plugins, callbacks)
                set_batch_size(model, None)
                rule = Rule.of(model.detector, fpr, None, review_fpr)
                limit = min(max_megapixels, model.header.config.data.max_megapixels)
                options = DecodeOptions.of(model.header.config.data, limit)
                queues[name] = ScoringQueue(
                    model, rule, options, queue_size, decoders, metrics.batches.observe
                )
            body = max_body_megabytes * 1_000_000
            application = Application(queues, metrics).asgi(
                most=body, together=_BODIES_TOGETHER * body, seconds=_BODY_SECONDS
            )
            _announce(listening.getsockname(), list(queues), callbacks)
            run_server(
                application, listening, queue_size + _SPARE_CONNECTIONS, callbacks.should_stop
            )
        finally:
            for each in queues.values():
                each.close()
    callbacks.note("stopped; all accepted requests are answered")


def _announce(address: Sequence[object], names: Sequence[str], callbacks: Callbacks) -> None:
    host, port = str(address[0]), address[1]
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        callbacks.warn(
            f"other machines reach {host}: the service asks nobody who they are, so put a proxy "
            "with authentication in front of it, or a firewall"
        )
    shown = f"[{host}]" if ":" in host else host
    callbacks.note(
        f"serving {count(len(names), 'model')} ({', '.join(names)}) on http://{shown}:{port}"
    )
