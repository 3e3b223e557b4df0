"""The server of the explorer: its page, and the pictures that the page requests.

Starlette and uvicorn serve a page written by hand. Gradio is about as fast
(docs/explore.md), but has no two-dimensional pad, no keyboard control, and no shared
state of which only the newest version is drawn, so its page would need the same
scripts. It also depends on 52 packages of 340 MB; Starlette and uvicorn are 7 of 5 MB.
"""

import contextlib
import errno
import json
import re
import socket
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stylegan_jax.explorer import files, guard, studio
from stylegan_jax.explorer import picture as pictures
from stylegan_jax.explorer.jobs import Jobs, Work
from stylegan_jax.explorer.latest import Latest
from stylegan_jax.explorer.picture import Picture
from stylegan_jax.explorer.renderer import Renderer
from stylegan_jax.inversion.encoder import Encoder
from stylegan_jax.runtime.cli import describe, is_out_of_memory

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
PAGE = "index.html"
MAX_NUMBER = 2**53  # largest exact integer in JavaScript
MAX_MESSAGE = 1000  # characters
LATENTS_REMEDY = (
    f"which is enough for {files.MAX_LATENTS} latents; use a file with fewer latents, "
    "or `generate --latents`, which has no such limit"
)
PHOTO_REMEDY = "the limit for a photo; save it with fewer pixels"


class TooLarge(ValueError):
    """Error for a request that exceeds its size limit."""


def application(
    renderer: Renderer, listen: str, encoder: Encoder | None = None
) -> guard.Guard:
    """Return the ASGI application of a network.

    Args:
      renderer: the network, whose programs are compiled.
      listen: the address of --host.
      encoder: encoder for the network, from whose latents projections start; None
        starts from the nearest of some samples.
    """
    workshop, jobs = studio.Studio(renderer, encoder), Jobs()
    latest: Latest[Picture, bytes] = Latest(lambda p: renderer.draw(p).tobytes())
    generator = renderer.network.generator

    async def facts(request: Request) -> Response:
        """Describe the network."""
        return JSONResponse(renderer.facts())

    async def draw(request: Request) -> Response:
        """Return the pixels [H,W,C] of a picture; 204 if there is a newer request."""
        value = await _json(request)
        client, number = value.get("client"), value.get("number")
        if not isinstance(client, str) or not re.fullmatch(r"[\w-]{1,64}", client):
            raise ValueError("`client` must be a name of up to 64 letters and digits")
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise ValueError("`number` must be a whole number that is not negative")
        picture = pictures.from_json(value.get("picture"), generator)
        pixels = await latest.submit(client, number, picture)
        headers = {"x-number": str(number)}
        if pixels is None:
            return Response(status_code=204, headers=headers)
        return Response(pixels, 200, headers, "application/octet-stream")

    async def save_image(request: Request) -> Response:
        """Return a picture as a PNG."""
        picture = pictures.from_json(await _json(request), generator)
        content = await latest.run(lambda: files.image(renderer, picture))
        return Response(content, media_type="image/png")

    async def save_latent(request: Request) -> Response:
        """Return the latent and the settings of a picture as an .npz file."""
        picture = pictures.from_json(await _json(request), generator)
        content = await latest.run(lambda: files.save(renderer, picture))
        return Response(content, media_type="application/octet-stream")

    async def load(request: Request) -> Response:
        """Return the latents of a file."""
        name = request.query_params.get("name", "file")[:200]
        content = await _body(request)
        return JSONResponse(
            await latest.run(lambda: files.load(renderer, content, name))
        )

    async def add_target(request: Request) -> Response:
        """Keep a photo, cropped to a box, as the target of projections."""
        box = studio.parse_box(request.query_params.get("box"))
        content = await _body(request, studio.MAX_PHOTO_BYTES, PHOTO_REMEDY)
        return JSONResponse(await latest.run(lambda: workshop.add(content, box)))

    async def target(request: Request) -> Response:
        """Return the pixels [H,W,C] of a target."""
        pixels = workshop.target(request.query_params.get("target"))
        return Response(pixels.tobytes(), media_type="application/octet-stream")

    async def save_tuned(request: Request) -> Response:
        """Return a tuned network as a .safetensors file."""
        name = (await _json(request)).get("tuned")
        content = await latest.run(lambda: workshop.save(name))
        return Response(content, media_type="application/octet-stream")

    def job(prepare: Callable[[dict[str, Any]], Work]) -> Callable[..., Any]:
        """Return an endpoint that streams the reports of a long task."""

        async def run(request: Request) -> Response:
            value = await _json(request)
            work = await latest.run(lambda: prepare(value))
            return StreamingResponse(jobs.stream(work), media_type="text/plain")

        return run

    routes = [
        Route("/target", add_target, methods=["POST"]),
        Route("/target", target),
        Route("/tuned", save_tuned, methods=["POST"]),
        Route("/project", job(workshop.project), methods=["POST"]),
        Route("/tune", job(workshop.tune), methods=["POST"]),
        Route("/drag", job(workshop.drag), methods=["POST"]),
        Route("/network", facts),
        Route("/draw", draw, methods=["POST"]),
        Route("/image", save_image, methods=["POST"]),
        Route("/latent", save_latent, methods=["POST"]),
        Route("/load", load, methods=["POST"]),
        *_page_routes(),
    ]
    handlers = dict.fromkeys((ValueError, OSError, ClientDisconnect), _refuse)
    app = Starlette(routes=routes, exception_handlers=handlers | {Exception: _fail})
    return guard.Guard(app, listen)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address; connections wait until the server accepts them.

    Raises:
      ValueError: the port is in use, or the address is not this machine's.
    """
    shown = f"`--host` (={host}) and `--port` (={port})"
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(
            f"`--host` (={host}) is not a known address or host name; use 127.0.0.1 "
            "for this machine only, or 0.0.0.0 for all of its networks"
        ) from error
    with socket.socket(family, kind) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(address)
            opened.listen(128)
        except OSError as error:
            reasons = {
                errno.EADDRINUSE: "the port is in use, perhaps by another explorer; "
                "choose another number, or --port=0 for one that is free",
                errno.EACCES: "you may not use this port; choose 1024 or higher",
                errno.EADDRNOTAVAIL: "this machine does not have the address; use "
                "127.0.0.1 for this machine only, or 0.0.0.0 for all of its networks",
            }
            reason = reasons.get(error.errno, str(error))
            raise ValueError(f"cannot listen on {shown}: {reason}") from error
        yield opened


def address(opened: socket.socket) -> str:
    """Return the address of the page for a browser on this machine."""
    host, port = opened.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server(app: guard.Guard) -> uvicorn.Server:
    """Return a server for an application; it is run with a socket."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )


def _page_routes() -> list[Route]:
    """Return a route for each file of the page; the files are read once."""
    routes = []
    for file in (resources.files("stylegan_jax.explorer") / "page").iterdir():
        ending = file.name.rpartition(".")[2]
        if ending not in TYPES:
            continue
        page = Response(file.read_bytes(), media_type=TYPES[ending])

        async def show(request: Request, page: Response = page) -> Response:
            return page

        routes.append(Route("/" if file.name == PAGE else f"/{quote(file.name)}", show))
    return routes


async def _body(
    request: Request, most: int = files.MAX_BYTES, remedy: str = LATENTS_REMEDY
) -> bytes:
    """Return the body of a request; raise TooLarge without reading all of it."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise TooLarge(f"the file is larger than {most:,} bytes, {remedy}")
    return bytes(content)


async def _json(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await _body(request))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the request must be JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("the request must be a JSON object")
    return value


async def _refuse(request: Request, error: Exception) -> Response:
    status = 413 if isinstance(error, TooLarge) else 400
    return JSONResponse({"error": describe(error)[:MAX_MESSAGE]}, status)


async def _fail(request: Request, error: Exception) -> Response:
    # uvicorn prints the traceback
    text = (
        "there is not enough memory for this picture; close other programs"
        if is_out_of_memory(error)
        else "the program failed; its terminal shows why"
    )
    return JSONResponse({"error": text}, 500)
