"""The ASGI application: scores, health, metrics, and a page to drop an image on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigan_cli.errors import BiganError
from bigan_cli.workflows.serving.body_limits import BodyLimits, Refused
from bigan_cli.workflows.serving.metrics import Metrics
from bigan_cli.workflows.serving.scoring_queue import ScoredUpload, ScoringQueue, Upload

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# Images of one request, and other fields of a form.
_MOST_FILES = 64
_MOST_FIELDS = 16
_SCHEMA = 1
_PAGE = Path(__file__).with_name("page.html")
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Application:
    """Answers requests with the scores of images.

    Args:
        queues: Name of a model -> its queue; the first is used where a request names none.
        metrics: Counts requests and images.
    """

    def __init__(self, queues: Mapping[str, ScoringQueue], metrics: Metrics) -> None:
        self._queues = dict(queues)
        self._metrics = metrics

    def asgi(self, *, most: int, together: int, seconds: float) -> Starlette:
        """Return the application; see :class:`BodyLimits` for the arguments."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.routing import Route

        limits = Middleware(BodyLimits, most=most, together=together, seconds=seconds)
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/healthz", self._health),
                Route("/metrics", self._figures),
                Route("/score", self._score, methods=["POST"]),
            ],
            middleware=[limits],
            exception_handlers={HTTPException: _no_such_page},
        )

    async def _page(self, _request: Request) -> Response:
        from starlette.responses import HTMLResponse

        headers = {"content-security-policy": _PAGE_POLICY, "x-content-type-options": "nosniff"}
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers=headers)

    async def _health(self, _request: Request) -> Response:
        from starlette.responses import JSONResponse

        models = {
            name: {
                "sha256": queue.model.header.sha256,
                "threshold": queue.rule.limit,
                "fpr": queue.rule.fpr,
                "images": queue.images,
                "capacity": queue.capacity,
            }
            for name, queue in self._queues.items()
        }
        return JSONResponse({"schema": _SCHEMA, "status": "ok", "models": models})

    async def _figures(self, _request: Request) -> Response:
        from starlette.responses import Response

        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _score(self, request: Request) -> Response:
        started = time.perf_counter()
        code = 500
        try:
            response = await self._answer(request)
            code = response.status_code
        except Refused as error:
            code = error.code
            raise
        finally:
            self._metrics.requests.labels(code).inc()
            self._metrics.seconds.observe(time.perf_counter() - started)
        return response

    async def _answer(self, request: Request) -> Response:
        name, queue, draw = self._chosen(request)
        uploads = await _uploads(request)
        if not uploads:
            raise Refused(400, "no image: send one as the body, or files of a form")
        if draw and len(uploads) > 1:
            raise Refused(400, "map=png is for one image")
        if len(uploads) > queue.capacity:
            raise Refused(413, f"at most {queue.capacity} images at a time")
        if not queue.reserve(len(uploads)):
            raise Refused(429, "too many images are waiting")
        try:
            scored = await asyncio.gather(*(queue.score(upload, draw=draw) for upload in uploads))
        except (BiganError, RuntimeError) as error:  # of the networks, or out of memory
            raise Refused(500, f"the images could not be scored: {error}") from error
        self._count(name, scored)
        return _overlay(scored[0]) if draw else _document(name, queue, scored)

    def _chosen(self, request: Request) -> tuple[str, ScoringQueue, bool]:
        """Return the model's name and queue, and whether a map is wanted."""
        name = request.query_params.get("model", next(iter(self._queues)))
        wanted = request.query_params.get("map")
        queue = self._queues.get(name)
        if queue is None:
            raise Refused(404, f"no model {name!r}; there are {', '.join(self._queues)}")
        if wanted not in (None, "png"):
            raise Refused(400, f"no map {wanted!r}; there is png")
        if wanted and not queue.model.detector.has_heatmaps:
            raise Refused(400, "no score component of this model has heatmaps")
        return name, queue, wanted is not None

    def _count(self, name: str, scored: Sequence[ScoredUpload]) -> None:
        for each in scored:
            self._metrics.images.labels(name, each.row.label or "error").inc()
            if each.row.p_value is not None:
                self._metrics.p_values.labels(name).observe(each.row.p_value)


async def _uploads(request: Request) -> list[Upload]:
    """Return the images of a request: the files of a form, or else its body."""
    from starlette.datastructures import UploadFile
    from starlette.exceptions import HTTPException

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        body = await request.body()
        name = request.query_params.get("name", "image")
        return [Upload(name, body)] if body else []
    try:
        async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS) as form:
            files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
            return [Upload(file.filename or "image", await file.read()) for file in files]
    except HTTPException as error:  # no form, or with too many parts
        raise Refused(error.status_code, error.detail) from error


def _no_such_page(request: Request, error: Exception) -> Response:
    """Return the error of an unknown path or method as JSON, as all errors are."""
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse

    assert isinstance(error, HTTPException)  # noqa: S101  called for no other
    wrong = f"{request.method} {request.url.path}"
    message = {404: f"there is no {wrong}", 405: f"{wrong} is not allowed"}
    document = {"error": message.get(error.status_code, error.detail)}
    return JSONResponse(document, error.status_code, error.headers)


def _document(name: str, queue: ScoringQueue, scored: Sequence[ScoredUpload]) -> Response:
    """Return the scores as JSON; status 422 if no image could be scored."""
    from starlette.responses import JSONResponse

    document: dict[str, Any] = {
        "schema": _SCHEMA,
        "model": {"name": name, "sha256": queue.model.header.sha256},
        "threshold": queue.rule.limit,
        "fpr": queue.rule.fpr,
        "results": [each.row.as_dict() for each in scored],
    }
    code = 422 if all(each.row.error for each in scored) else 200
    return JSONResponse(document, code)


def _overlay(scored: ScoredUpload) -> Response:
    """Return the picture, with the score in the headers."""
    from starlette.responses import Response

    row = scored.row
    if scored.overlay is None:
        raise Refused(422, row.error)
    headers = {
        "x-bigan-score": repr(row.score),
        "x-bigan-p-value": repr(row.p_value),
        "x-bigan-label": row.label,
        "x-bigan-regions": str(len(row.regions or ())),
    }
    return Response(scored.overlay, media_type="image/png", headers=headers)
