"""Serves the static page if no other server does (`manycast up`). In compose, Caddy serves it.

The page's FOLDERS share one namespace: `/manycast.js` is client/manycast.js, `/` is pages/index.html. No file outside
them can be requested.
"""

from html import escape
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.http.page_policy import PagePolicy
from gateway.http.root_path import route_path

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # The page that draws diagrams has no origin, and loads its scripts from here.
    "Cross-Origin-Resource-Policy": "cross-origin",
    # After an update, an old page must not load new scripts; the ETag makes revalidation cheap.
    "Cache-Control": "no-cache",
}


FOLDERS = ("pages", "parts", "client")
READING = ("GET", "HEAD")
NOT_FOUND = 404


class StaticPage(StaticFiles):
    """The files of the page. A path without a suffix is the HTML file of that name."""

    def __init__(self, folder: Path, policy: PagePolicy) -> None:
        """If `folder` has no FOLDERS, it holds a page that is not ours, and all its files are served.

        Raises: RuntimeError if there is no such folder.
        """
        super().__init__(directory=folder, html=True)
        self._policy = policy
        if (folder / FOLDERS[0]).is_dir():
            self.all_directories = [folder / name for name in FOLDERS]
        file, found = self.lookup_path("404.html")
        self._missing = Path(file).read_text(encoding="utf-8") if found else ""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.startswith(("v1/", "api/")):
            # No path of the API is a file: answer 404 to every method.
            raise HTTPException(404)
        if path == "." and route_path(scope) != "/":
            # Another spelling of `/`, which the library would redirect.
            raise HTTPException(404)
        if any(part.startswith(".") for part in Path(path).parts):
            raise HTTPException(404)
        is_write = scope["method"] not in READING
        if path not in (".", "") and "." not in Path(path).name:
            path = f"{path}.html"
        response = await self._find(path, {**scope, "method": "HEAD"} if is_write else scope)
        if is_write:
            # The library refuses a wrong method before it looks whether there is such a file.
            raise HTTPException(405, headers={"Allow": ", ".join(READING)})
        response.headers.update({**SECURITY_HEADERS, "Content-Security-Policy": self._policy.find(path)})
        return response

    async def _find(self, path: str, scope: Scope) -> Response:
        """Raises: HTTPException 404, 405. A browser gets a page for a 404, other clients the usual error."""
        response = await super().get_response(path, scope)
        if response.status_code != NOT_FOUND:
            return response
        if scope["method"] != "GET" or "text/html" not in Headers(scope=scope).get("accept", ""):
            raise HTTPException(NOT_FOUND)
        # Its links begin with `/`: the address may have any depth, and a proxy may publish this server under a path.
        prefix = escape(scope.get("root_path", ""))
        return HTMLResponse(self._missing.replace('="/', f'="{prefix}/'), NOT_FOUND)


def mount_static_page(app: FastAPI, folder: Path, policy: PagePolicy) -> None:
    """Serves a file of the folder for every path that is not a route of the API. It is the default handler and not a
    mount, so that a route still answers 405 to a wrong method."""
    app.router.default = StaticPage(folder, policy)
