"""The composition root: defines the routes. The only module that imports fastapi."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from simulator.bill import Bill
from simulator.catalogue import CATALOGUE, OWNER
from simulator.errors import ApiError, Refused
from simulator.exchange import ClientLeft, FrameworkError
from simulator.pace import Pace
from simulator.provider import Provider, find_model

MOST_BODY_BYTES = 16 * 1024 * 1024


def create_app(pace: Pace, bill: Bill) -> FastAPI:
    """`pace` applies to models without their own."""
    provider = Provider(pace, bill)
    app = FastAPI(title="Manycast simulator", openapi_url=None)

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        return provider.complete(await read_body(request))

    @app.post("/v1/completions")
    async def complete_text(request: Request) -> Response:
        return provider.complete_text(await read_body(request))

    @app.post("/v1/embeddings")
    async def embed(request: Request) -> Response:
        return provider.embed(await read_body(request))

    @app.post("/v1/moderations")
    async def moderate(request: Request) -> Response:
        return provider.moderate(await read_body(request))

    @app.get("/v1/models")
    async def list_models() -> JSONResponse:
        # A page that offers the list would be filled with streams that only tests want.
        return JSONResponse(
            {"object": "list", "data": [model.card() for model in CATALOGUE.values() if model.is_listed]}
        )

    @app.get("/v1/models/{name}")
    async def show_model(name: str) -> JSONResponse:
        return JSONResponse(find_model(name).card())

    @app.get("/simulator/stats")
    async def show_stats() -> JSONResponse:
        return JSONResponse(provider.tally.as_object())

    @app.post("/simulator/release", status_code=204)
    async def release() -> None:
        provider.holds.release()

    @app.get("/healthz")
    async def show_health() -> JSONResponse:
        return JSONResponse({"status": "ok", "owned_by": OWNER})

    app.add_exception_handler(Refused, answer_refused)
    app.add_exception_handler(FrameworkError, answer_http_error)
    app.add_exception_handler(ClientLeft, answer_nobody)
    return app


async def read_body(request: Request) -> bytes:
    """Raises: Refused 413 as soon as the body exceeds the limit; ClientLeft."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY_BYTES:
            raise Refused(ApiError(413, f"The request body is larger than {MOST_BODY_BYTES} bytes."))
    return bytes(body)


async def answer_refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    error = refused.error
    return JSONResponse(error.body(), error.status, error.headers)


async def answer_http_error(request: Request, refused: Exception) -> Response:
    """Converts the framework's own errors to OpenAI's shape and wording."""
    assert isinstance(refused, FrameworkError)
    place = f"{request.method} {request.url.path}"
    known = {
        404: ApiError(404, f"Invalid URL ({place})"),
        405: ApiError(405, f"Not allowed: {place}.", code="method_not_supported"),
    }
    error = known.get(refused.status_code) or ApiError(refused.status_code, str(refused.detail))
    return JSONResponse(error.body(), error.status, refused.headers)


async def answer_nobody(_: Request, __: Exception) -> Response:
    """The client disconnected during its request, so nobody receives this response."""
    return Response(status_code=400)
