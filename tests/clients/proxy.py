"""A proxy that gives each request to the next replica, whatever connection it came on: `proxy.py PORT URL URL`."""

import itertools
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

ONE_CONNECTION_ONLY = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade"})
METHODS = ["GET", "POST", "DELETE", "OPTIONS", "HEAD"]


def proxy(replicas: Sequence[str], client: httpx.AsyncClient) -> Starlette:
    """Bodies stream in both directions; who goes away here goes away there."""
    turns = itertools.cycle(replicas)
    taken: Counter[str] = Counter()

    async def forward(request: Request) -> Response:
        replica = next(turns)
        taken[replica] += 1
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in ONE_CONNECTION_ONLY]
        url = f"{replica}{request.url.path}{'?' + request.url.query if request.url.query else ''}"
        asked = client.build_request(request.method, url, headers=headers, content=await request.body())
        answer = await client.send(asked, stream=True)

        async def body() -> AsyncGenerator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()

        response = StreamingResponse(body(), answer.status_code)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower().decode() not in ONE_CONNECTION_ONLY
        ]
        return response

    async def turns_taken(_request: Request) -> JSONResponse:
        return JSONResponse([taken[replica] for replica in replicas])

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with client:
            yield

    endpoint: Callable[[Request], Awaitable[Response]] = forward
    return Starlette(
        routes=[Route("/_turns", turns_taken), Route("/{path:path}", endpoint, methods=METHODS)], lifespan=lifespan
    )


if __name__ == "__main__":
    _, port, *urls = sys.argv
    patient = httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=200))
    uvicorn.run(proxy(urls, patient), host="127.0.0.1", port=int(port), log_level="warning")
