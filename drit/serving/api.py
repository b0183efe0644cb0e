"""The routes. What a field means, its default and range stand here once: the page at /docs shows them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from drit.methods.registry import list_methods
from drit.serving.animation import Animation, able
from drit.serving.limits import Gate
from drit.serving.metrics import CONTENT_TYPE
from drit.serving.refusal import NEXT, Refusal
from drit.serving.served import ServedRun, ServedRuns
from drit.serving.service import Answer, Order, Service, refused
from drit.serving.settings import ServeSettings
from drit.settings.schema import MAX_SEED
from drit.version import VERSION

PAGES = Path(__file__).parent / "studio"
# Only what these pages bring along is loaded, and nothing is sent elsewhere. data: and blob: are images in the page.
POLICY = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

RunName = Annotated[str, Query(description="name of the run; needed where several are served")]
RunField = Annotated[str, Form(description="name of the run; needed where several are served")]
Size = Annotated[int, Form(ge=0, le=1 << 16, description="scale a larger short side down to so many pixels; 0: never")]

TOKEN = "^[A-Za-z0-9-]{0,64}$"  # of progress

routes = APIRouter()
keeping = APIRouter()  # of the studio alone: they write, or show training images


def create_app(runs: ServedRuns, settings: ServeSettings, key: str = "", studio: bool = False) -> FastAPI:
    """The application. key: that requests must carry; empty: none. studio: with the page, and what it may write."""
    service = Service(runs, settings.limit)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="drit service",
        version=VERSION,
        description="Diverse image-to-image translation. Errors are JSON: what was wrong (`error`) and what to do "
        "(`next`).",
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _refusal,
            RequestValidationError: _wrong_field,
            Exception: _failed,
        },
    )
    app.state.service = service
    app.state.studio = studio
    app.include_router(routes)
    if studio:
        app.include_router(keeping)
    app.mount("/pages", StaticFiles(directory=PAGES))
    app.add_middleware(Gate, settings=settings, key=key, metrics=service.metrics, wait=service.worker.wait)
    if settings.cors:  # outside the gate: a browser asks before it sends a key, and must be able to read refusals
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "Authorization"],
        )
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _run(request: Request, name: str) -> tuple[Service, ServedRun]:
    service = _service(request)
    return service, service.runs.find(name)


@routes.post("/v1/translate", tags=["work"], response_model=None)
async def translate(
    request: Request,
    to: Annotated[str, Form(description="domain to translate to: its letter, or its name")],
    run: RunField = "",
    image: Annotated[UploadFile | None, File(description="the image: any format that the program reads")] = None,
    content: Annotated[str, Form(description="in place of the image: 'content' of an earlier answer")] = "",
    size: Size = 0,
    count: Annotated[int, Form(ge=1, description="random styles, where no others are given")] = 1,
    seed: Annotated[int, Form(ge=0, le=MAX_SEED, description="of the random styles")] = 0,
    numbers: Annotated[str, Form(description="styles as JSON, a list of numbers each: [[0.1, -0.3, ...]]")] = "",
    style: Annotated[Sequence[str], Form(description="names of kept styles (repeat the field)")] = (),
    exemplar: Annotated[
        Sequence[UploadFile], File(description="images of the target domain whose styles to take (repeat the field)")
    ] = (),
    format: Annotated[Literal["png", "jpg", "webp", "tif"], Form(description="of the outputs")] = "png",
    depth: Annotated[Literal["0", "8", "16"], Form(description="bits of the outputs; 0: as the image")] = "0",
    answer: Annotated[
        Literal["json", "image", "animation"],
        Form(
            description="'json': all outputs, in base64; 'image': the file of a single one; 'animation': one moving "
            "image of all, forwards and backwards"
        ),
    ] = "json",
    progress: Annotated[
        str,
        Form(pattern=TOKEN, description="a name of your own by which /v1/progress tells how far a large image is"),
    ] = "",
    animation: Annotated[Animation, Form(description="format of an animation; mp4 needs the extra 'video'")] = "webp",
) -> Response:
    """Translate an image: in random styles, or in those of exemplars, kept names and numbers together, in this order.

    The same request gives the same styles. With `content`, an image that was sent before is not encoded again.
    """
    service, served = _run(request, run)
    order = Order(
        to=to,
        image=await image.read() if image else b"",
        content=content,
        size=size,
        count=count,
        seed=seed,
        numbers=numbers,
        names=style,
        exemplars=[await file.read() for file in exemplar],
        format=format,
        depth=int(depth),
        progress=progress,
        animation=animation if answer == "animation" else "",
    )
    if image and not order.image:
        raise Refusal(422, "The field 'image' holds an empty file.", "Send the bytes of an image file.")
    result = await service.translate(served, order, request.is_disconnected)
    return Response(_as_json(result), media_type="application/json") if answer == "json" else _as_image(result)


def _as_image(result: Answer) -> Response:
    if len(result.outputs) != 1:
        raise Refusal(
            422,
            f"{len(result.outputs)} outputs do not fit into an answer that is one image.",
            "Ask for one style, or for 'answer' json.",
        )
    (output,) = result.outputs
    headers = {"X-Drit-Style": json.dumps(output.style), "X-Drit-Content": result.content}
    return Response(output.data, media_type=result.media, headers=headers)


def _as_json(result: Answer) -> bytes:
    outputs = [
        {"name": o.name, "style": o.style, "image": base64.b64encode(o.data).decode("ascii")} for o in result.outputs
    ]
    return json.dumps(
        {
            "run": result.run,
            "to": result.to,
            "content": result.content,
            "width": result.width,
            "height": result.height,
            "media": result.media,
            "outputs": outputs,
        }
    ).encode()


@routes.post("/v1/encode-style", tags=["work"])
async def encode_style(
    request: Request,
    domain: Annotated[str, Form(description="domain of the image: its letter, or its name")],
    image: Annotated[UploadFile, File(description="the exemplar")],
    run: RunField = "",
    size: Size = 0,
) -> dict[str, Any]:
    """The style of an image, as numbers that `translate` takes."""
    service, served = _run(request, run)
    return {"style": await service.style(served, domain, await image.read(), size, request.is_disconnected)}


@routes.post("/v1/state", tags=["work"])
async def state(
    request: Request, image: Annotated[UploadFile, File(description="an image, perhaps an output of this program")]
) -> dict[str, Any]:
    """How an image was made, where it says so: `state` (format, version, run, from, to, name, style, seed) or null.
    A grid or walk shows several: `styles` has name, style and seed of each.

    `run` names the served run that made it; it is empty where none did, and `why` says what is missing. `height` and
    `width` are 0 for what is no image.
    """
    found = await _service(request).state(await image.read())
    height, width = found.size
    made = json.loads(found.state.text()) if found.state else None
    return {"state": made, "run": found.run, "why": found.why, "height": height, "width": width}


@routes.get("/v1/styles", tags=["lists"])
async def styles(
    request: Request,
    to: Annotated[str, Query(description="domain: its letter, or its name")],
    run: RunName = "",
    count: Annotated[int, Query(ge=1)] = 1,
    seed: Annotated[int, Query(ge=0, le=MAX_SEED)] = 0,
) -> dict[str, Any]:
    """The numbers of random styles. The first of a seed do not depend on `count`."""
    service, served = _run(request, run)
    return {"styles": service.sample(served, to, count, seed)}


@routes.get("/v1/library", tags=["lists"])
async def library(request: Request, run: RunName = "") -> dict[str, Any]:
    """The kept styles of a run: those of RUN/styles.json."""
    _, served = _run(request, run)
    with refused():
        kept = await asyncio.to_thread(served.library.styles)
    return {"styles": [style._asdict() for style in kept]}


@keeping.post("/v1/library", tags=["keep"], status_code=201)
async def keep(
    request: Request,
    name: Annotated[str, Form()],
    domain: Annotated[str, Form()],
    numbers: Annotated[str, Form(description="JSON: [0.1, -0.3, ...]")],
    run: RunField = "",
) -> dict[str, str]:
    """Keep a style under a name, in RUN/styles.json."""
    _, served = _run(request, run)
    with refused():
        try:
            code = served.translator.checked([json.loads(numbers)])[0]
        except (ValueError, RecursionError) as error:
            raise Refusal(422, "The field 'numbers' is not JSON of the form [0.1, ...].") from error
        letter = served.translator.domain(domain)
        await asyncio.to_thread(served.library.keep, name, letter, code.tolist())
    return {"kept": name}


@keeping.post("/v1/library/tags", tags=["keep"])
async def tag(
    request: Request,
    name: Annotated[str, Form()],
    tags: Annotated[str, Form(description="with commas between them; empty: none")] = "",
    run: RunField = "",
) -> dict[str, Any]:
    """Give a kept style these tags in place of its own."""
    _, served = _run(request, run)
    wanted = list(dict.fromkeys(filter(None, (part.strip() for part in tags.split(",")))))
    with refused():
        await asyncio.to_thread(served.library.tag, name, wanted)
    return {"tags": wanted}


@keeping.post("/v1/checkpoints", tags=["keep"])
async def open_checkpoint(
    request: Request,
    step: Annotated[int, Form(ge=0, description="its iteration")],
    run: RunField = "",
) -> dict[str, Any]:
    """Open another checkpoint of a run: it is served as a run of its own, under the name that the answer gives."""
    service = _service(request)
    with refused():
        opened = await asyncio.to_thread(service.runs.open, run, step)
    return opened.description(True)


@keeping.get("/v1/map", tags=["keep"])
async def style_map(
    request: Request,
    to: Annotated[str, Query(description="domain: its letter, or its name")],
    run: RunName = "",
) -> dict[str, Any]:
    """The styles of training images in two dimensions. Ask again until it is `ready`."""
    service, served = _run(request, run)
    with refused():
        served.translator.sample(1, to)  # refuses a domain without styles
        letter = served.translator.domain(to)
    return service.maps.get(served, letter).body()


@keeping.delete("/v1/library", tags=["keep"])
async def remove(request: Request, name: Annotated[str, Query()], run: RunName = "") -> dict[str, str]:
    """Forget a kept style."""
    _, served = _run(request, run)
    with refused():
        await asyncio.to_thread(served.library.remove, name)
    return {"removed": name}


@routes.get("/v1/runs", tags=["lists"])
async def list_runs(request: Request) -> dict[str, Any]:
    """The runs that are served: methods, domains, directions, styles. The formats that an animation can have, and the
    pixels of the largest image that is translated as a whole."""
    runs = [run.description(request.app.state.studio) for run in _service(request).runs.all]
    return {"runs": runs, "animations": able(), "whole_pixels": _service(request).limits.pixels}


@routes.get("/v1/progress", tags=["lists"])
async def progress(request: Request, token: Annotated[str, Query(pattern=TOKEN)]) -> dict[str, float | None]:
    """How much of the translation of a large image is done, from 0 to 1; null where none of that token is going on."""
    return {"share": _service(request).large.share(token)}


@routes.get("/v1/methods", tags=["lists"])
async def methods() -> dict[str, Any]:
    """The methods that this program knows."""
    return {"methods": list_methods()}


@routes.get("/health", tags=["state"])
async def health() -> dict[str, str]:
    """Whether the process lives."""
    return {"status": "ok", "version": VERSION}


@routes.get("/ready", tags=["state"])
async def ready(request: Request) -> dict[str, str]:
    """Whether it can take work: 503 where it ends, or a run's folder is gone or changed."""
    service = _service(request)
    if service.closing:
        raise Refusal(503, "The service is ending.", "Ask another one.")
    for run in service.runs.all:
        try:
            run.check()
        except Refusal as error:
            raise Refusal(503, str(error.detail), error.next) from error
    return {"status": "ready"}


@routes.get("/metrics", tags=["state"], response_model=None)
async def metrics(request: Request) -> Response:
    """Counts and levels for Prometheus."""
    return Response(_service(request).metrics.text(), media_type=CONTENT_TYPE)


@routes.get("/docs", include_in_schema=False)
async def docs() -> Response:
    return FileResponse(PAGES / "docs.html", headers={"Content-Security-Policy": POLICY})


@routes.get("/", include_in_schema=False)
async def front(request: Request) -> Response:
    if not request.app.state.studio:
        return RedirectResponse("/docs")
    return FileResponse(PAGES / "index.html", headers={"Content-Security-Policy": POLICY})


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    """An error of ours, or of the framework: an unknown path, a method that a route lacks, a body that is no form."""
    assert isinstance(error, HTTPException)
    if not isinstance(error, Refusal):
        words = {
            404: f"There is nothing at {request.url.path[:200]}.",
            405: f"{request.url.path} takes no {request.method}.",
            400: f"The body of the request cannot be read: {str(error.detail).rstrip('.')}.",
        }
        text = words.get(error.status_code, str(error.detail))
        error = Refusal(error.status_code, text, "/docs lists what there is: send forms as multipart/form-data.")
    return JSONResponse(error.body, error.status_code, error.headers)


async def _wrong_field(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field, given = first["loc"][-1], first.get("input")
    shown = "" if first["type"] == "missing" or given is None else f" is {str(given)[:60]!r}"
    what = f"The field '{field}'{shown}: {first['msg'][0].lower()}{first['msg'][1:]}."
    return JSONResponse({"error": what, "next": NEXT}, 422)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(
        {
            "error": f"The service failed at this request ({type(error).__name__}).",
            "next": "Tell the operator of the service: its standard error has the details.",
        },
        500,
    )
