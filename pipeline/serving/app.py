"""The HTTP server: routes, errors in JSON, a log without row values, an orderly end.

aiohttp is in the environment through gcsfs and s3fs, has a server of its own, bounds bodies, and lets what is
in hand finish when it ends; decision 15 says what else was looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from components.errors import DataError
from components.release.canonical import printable
from components.version import __version__
from pipeline.serving.predictor import LOG, Busy, Predictor

_PREDICTOR = web.AppKey("predictor", Predictor)
#: Marks a body of V2's binary tensor extension; KServe's client sends NumPy arrays so, unless told otherwise.
_BINARY = "Inference-Header-Content-Length"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(predictor: Predictor) -> web.Application:
    """The routes of both protocols, health and metrics."""
    app = web.Application(client_max_size=predictor.limits.max_bytes, middlewares=[_errors])
    app[_PREDICTOR] = predictor
    app.router.add_get("/", _live)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/v1/models", _list_v1)
    app.router.add_get("/v1/models/{name}", _model_v1)
    app.router.add_post("/v1/models/{name}:predict", _predict_v1)
    app.router.add_get("/v2", _server_v2)
    app.router.add_get("/v2/health/live", _live)
    app.router.add_get("/v2/health/ready", _ready)
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        app.router.add_get(model, _model_v2)
        app.router.add_get(f"{model}/ready", _model_ready)
        app.router.add_post(f"{model}/infer", _infer_v2)
    return app


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every refusal is one line of JSON: `{"error": ...}`."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        limit = request.app[_PREDICTOR].limits.max_bytes
        words = f"the body is larger than {limit} bytes" if error.status == 413 else error.reason
        response = _error(words, error.status)
    except DataError as error:
        response = _error(str(error), 400)
    except Busy:
        response = _error("too many requests wait; come back", 503, {"Retry-After": "1"})
    except asyncio.TimeoutError:
        response = _error("the body came too slowly", 408)
    except web.RequestPayloadError:
        response = _error("the body is cut short, or not compressed as its header says", 400)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        # The text of a foreign exception can quote a row.
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
        LOG.error("our fault: %s at %s", type(error).__name__, where)
        response = _error("our fault; the server's log says where", 500)
    request.app[_PREDICTOR].metrics.requests.labels(_route(request), response.status).inc()
    return response


def _error(words: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": " ".join(words.split())}, status=status, headers=headers)


def _route(request: web.BaseRequest) -> str:
    """The route as it was declared: what a client wrote into the path is not repeated."""
    info = getattr(request, "match_info", None)
    resource = info.route.resource if info is not None else None
    return resource.canonical if resource is not None else "unknown"


def _model(request: web.Request) -> Predictor:
    """The predictor, if it is the model that the path names."""
    predictor = request.app[_PREDICTOR]
    name, version = request.match_info["name"], request.match_info.get("version")
    if name != predictor.name:
        raise web.HTTPNotFound(reason=f"no model of that name; there is {predictor.name}")
    if version is not None and version != str(predictor.served.version):
        raise web.HTTPNotFound(reason=f"no such version; there is {predictor.served.version}")
    return predictor


async def _live(request: web.Request) -> web.Response:
    return web.json_response({"live": True})


async def _ready(request: web.Request) -> web.Response:
    ready = request.app[_PREDICTOR].ready
    return web.json_response({"ready": ready}, status=200 if ready else 503)


async def _model_ready(request: web.Request) -> web.Response:
    predictor = _model(request)
    status = 200 if predictor.ready else 503
    return web.json_response({"name": predictor.name, "ready": predictor.ready}, status=status)


async def _server_v2(request: web.Request) -> web.Response:
    return web.json_response({"name": "isthmus", "version": __version__, "extensions": []})


async def _list_v1(request: web.Request) -> web.Response:
    return web.json_response({"models": [request.app[_PREDICTOR].name]})


async def _model_v1(request: web.Request) -> web.Response:
    return await _model_ready(request)


async def _model_v2(request: web.Request) -> web.Response:
    return web.json_response(_model(request).metadata())


async def _predict_v1(request: web.Request) -> web.Response:
    return await _judge(request, 1)


async def _infer_v2(request: web.Request) -> web.Response:
    return await _judge(request, 2)


async def _judge(request: web.Request, version: int) -> web.Response:
    predictor = _model(request)
    if predictor.revoked:
        return _error(f"a release behind this detector {printable(predictor.revoked)}", 503)
    if _BINARY in request.headers:
        raise DataError("binary tensor data is not spoken here; allowed: JSON (binary_data: false)")
    predictor.acquire()
    try:
        body = await asyncio.wait_for(request.read(), predictor.limits.read_s)
        answer = await predictor.answer(body, version)
    finally:
        predictor.release()
    return web.Response(body=answer, content_type="application/json")


async def _metrics(request: web.Request) -> web.Response:
    text = generate_latest(request.app[_PREDICTOR].metrics.registry)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _AccessLog(AbstractAccessLogger):
    """Method, route, status and time: no path, no query, no body, no address."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info("%s %s %d %.3f s", request.method, _route(request), response.status, time)


async def serve(predictor: Predictor, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT: then readiness goes off, and what is in hand is finished.

    Raises:
      OSError: the port cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        make_app(predictor),
        access_log_class=_AccessLog,
        access_log=LOG,
        shutdown_timeout=predictor.limits.finish_s,
    )
    await runner.setup()
    watch = asyncio.ensure_future(predictor.watch_revocations())
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        LOG.info(json.dumps({"serving": predictor.name, "port": _port(runner), **_about(predictor)}))
        await stop.wait()
        predictor.draining = True
        LOG.info("asked to end: not ready, waiting %.1f s for the gateway", predictor.limits.drain_s)
        await asyncio.sleep(predictor.limits.drain_s)
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await runner.cleanup()
    LOG.info("ended")


def _port(runner: web.AppRunner) -> int:
    """The port that was taken; `0` asks the system for a free one."""
    return int(runner.addresses[0][1])


def _about(predictor: Predictor) -> dict[str, Any]:
    served = predictor.served
    return {"version": served.version, "content_digest": served.content_digest, "signed_by": served.key_id}


def log_to_stderr() -> None:
    """Our own lines only; aiohttp's could quote what a client sent."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
