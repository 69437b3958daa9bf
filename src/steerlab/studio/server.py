"""The server of the page: routes, streamed jobs, one line for every error; bound to loopback."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse

from steerlab.building import rendered_pair
from steerlab.errors import BusyError, OptionError, SteerlabError, nearest
from steerlab.formats.safetensors_file import vector_bytes
from steerlab.report.style import STYLE
from steerlab.studio import steering_jobs
from steerlab.studio.asked import Asking, Building, Dosing, Picking, Reading, Writing
from steerlab.studio.browsing import cell_page, run_page
from steerlab.studio.desk import LAST, Desk, Event, Job
from steerlab.studio.guard import App, guarded
from steerlab.studio.shelf import Shelf, contents, known
from steerlab.tasks.templates import load_templates

LOOPBACK = "127.0.0.1"
SHOWN_PAIRS = 500
CLOSING_SECONDS = 2


def listen(port: int) -> socket.socket:
    """A socket on loopback; port 0 takes any free one. Raises: OptionError when the port can't be had."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        taken.close()
        raise OptionError(f"port {port} can't be had ({error}): choose another --port, or 0 for any.") from None
    taken.listen()
    return taken


def serve(shelf: Shelf, on: socket.socket) -> None:
    """Serve the page on the socket until Ctrl-C."""
    app = make_app(shelf, port=on.getsockname()[1])
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=CLOSING_SECONDS, server_header=False)
    uvicorn.Server(config).run(sockets=[on])


def make_app(shelf: Shelf, *, port: int) -> App:
    """The application, behind its guard."""
    desk = Desk()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with desk:
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(SteerlabError, _in_one_line)
    app.add_exception_handler(RequestValidationError, _in_one_line)
    _add_page(app)
    _add_shelf(app, shelf)
    _add_jobs(app, shelf, desk)
    return guarded(app, port=port)


def _add_page(app: FastAPI) -> None:
    folder = resources.files("steerlab.studio") / "page"
    texts = {
        "/": ("text/html", (folder / "studio.html").read_text("utf-8")),
        "/studio.css": ("text/css", STYLE + (folder / "studio.css").read_text("utf-8")),
        "/studio.js": ("text/javascript", (folder / "studio.js").read_text("utf-8")),
        "/favicon.svg": ("image/svg+xml", (folder / "favicon.svg").read_text("utf-8")),
    }
    for path, (kind, text) in texts.items():
        app.add_api_route(path, _always(text, kind))


def _always(text: str, kind: str) -> Callable[[], Response]:
    def answer() -> Response:
        return Response(text, media_type=kind)

    return answer


def _add_shelf(app: FastAPI, shelf: Shelf) -> None:
    @app.get("/api/shelf")
    def everything() -> dict[str, Any]:
        return contents(shelf)

    @app.get("/api/vectors/{identity}")
    def vector_file(identity: str) -> Response:
        named = known(shelf.vectors, identity, "vector")
        headers = {"content-disposition": f'attachment; filename="{identity}.safetensors"'}
        return Response(vector_bytes(named.vector), media_type="application/octet-stream", headers=headers)

    @app.get("/api/pairs/{identity}")
    def pairs(identity: str) -> dict[str, Any]:
        found = known(shelf.pairs, identity, "pairs").pairs
        return {"programs": [f"{pair.id}/{side}" for pair in found[:SHOWN_PAIRS] for side in ("vulnerable", "patched")]}

    @app.post("/api/prompt")
    def prompt(asked: Asking) -> dict[str, Any]:
        return prompt_of(shelf, asked)

    @app.get("/api/runs/{identity}")
    def run(identity: str) -> dict[str, Any]:
        return run_page(known(shelf.runs, identity, "run"))

    @app.get("/api/runs/{identity}/cell")
    def cell(identity: str, cell: str) -> dict[str, Any]:
        return cell_page(known(shelf.runs, identity, "run"), cell)


def prompt_of(shelf: Shelf, asked: Asking) -> dict[str, Any]:
    """The prompt that asks the template's question about a program, and its answers: patched, then vulnerable."""
    pairs = {pair.id: pair for pair in known(shelf.pairs, asked.pairs, "pairs").pairs}
    templates = {template.name: template for template in load_templates()}
    name, _, side = asked.program.rpartition("/")
    if name not in pairs or side not in ("vulnerable", "patched"):
        raise OptionError(f"program {asked.program!r} does not exist in these pairs.")
    if asked.template not in templates:
        raise OptionError(f"template {asked.template!r} does not exist. {nearest(asked.template, templates)}")
    template = templates[asked.template]
    patched, vulnerable = rendered_pair(template, pairs[name])
    text = patched if side == "patched" else vulnerable
    return {"prompt": text, "answers": [template.patched, template.vulnerable]}


def _add_jobs(app: FastAPI, shelf: Shelf, desk: Desk) -> None:
    @app.post("/api/model", response_model=None)
    async def pick(asked: Picking) -> Response:
        return await _told(desk, "loading a model", partial(steering_jobs.pick, shelf, asked))

    @app.post("/api/write", response_model=None)
    async def write(asked: Writing) -> Response:
        return await _told(desk, "writing a completion", partial(steering_jobs.write, shelf, asked))

    @app.post("/api/next", response_model=None)
    async def read_next(asked: Reading) -> Response:
        return await _told(desk, "reading probabilities", partial(steering_jobs.read_next, shelf, asked))

    @app.post("/api/dose", response_model=None)
    async def dose(asked: Dosing) -> Response:
        return await _told(desk, "reading answers", partial(steering_jobs.dose, shelf, asked))

    @app.post("/api/build", response_model=None)
    async def build(asked: Building) -> Response:
        return await _told(desk, "building a vector", partial(steering_jobs.build, shelf, asked))


async def _told(desk: Desk, what: str, work: Callable[[Job], Event]) -> Response:
    """The job's events as lines of JSON; a job that fails before its first event is an error with one line.

    The job is stopped when the one who asked goes away.
    """
    events = _events(desk, what, work)
    first = await anext(events)  # begun here, so that it is closed, and the job stopped, whatever becomes of the answer
    if first["kind"] == "error":
        await events.aclose()
        return JSONResponse({"error": first["error"]}, status_code=400)
    return StreamingResponse(_lines(first, events), media_type="application/x-ndjson")


async def _events(desk: Desk, what: str, work: Callable[[Job], Event]) -> AsyncGenerator[Event]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event] = asyncio.Queue()

    def tell(event: Event) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, event)

    job = desk.start(what, work, tell=tell)
    try:
        while True:
            event = await queue.get()
            yield event
            if event["kind"] in LAST:
                return
    finally:
        job.stop()


async def _lines(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[str]:
    yield json.dumps(first) + "\n"
    async for event in rest:
        yield json.dumps(event) + "\n"


def _in_one_line(_: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        return JSONResponse({"error": _first_fault(error.errors()[0])}, status_code=422)
    status = 409 if isinstance(error, BusyError) else 400
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=status)


def _first_fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in fault["loc"] if part != "body")
    return f"{where or 'the request'}: {fault['msg'][:1].lower()}{fault['msg'][1:]}."
