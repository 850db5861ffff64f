"""Serves the page where no other server does (`manycast up`). In compose this is Caddy's work."""

from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A page of another version must not run with scripts of this one; the ETag makes asking again cheap.
    "Cache-Control": "no-cache",
}


class StaticPage(StaticFiles):
    """The files of a folder; a path without an ending is the page of that name."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.startswith(("v1/", "api/")):
            # Nothing of the API is a file, whatever the method.
            raise HTTPException(404)
        if path == "." and scope["path"] != "/":
            # Another way to say the root; the library would send the client on to what it said.
            raise HTTPException(404)
        if path not in (".", "") and "." not in Path(path).name:
            path = f"{path}.html"
        response = await super().get_response(path, scope)
        response.headers.update(SECURITY_HEADERS)
        return response


def mount_static_page(app: FastAPI, folder: Path) -> None:
    """Everything that is no route of the API is looked for in the folder. Not mounted: a route is still to say that it
    does not know a method."""
    app.router.default = StaticPage(directory=folder, html=True)
