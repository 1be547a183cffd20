"""The application: routes, what is in front of them, and what is said where something goes wrong."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from worker.console.store import StoreError
from worker.console.store.reviewing import ConflictError, ReviewError
from worker.console.web import (
    admin_pages,
    api,
    exports,
    picture_pages,
    policy_pages,
    reading_pages,
    render,
    review_pages,
    shown,
    stream_pages,
)
from worker.console.web.parts import Console, Refused
from worker.console.web.protection import Protection
from worker.logs import logger

_STATIC = Path(__file__).parent / "static"
_PAGES = (
    *(policy_pages, exports, review_pages, reading_pages, stream_pages),
    *(picture_pages, admin_pages),
)


def create_app(console: Console) -> FastAPI:
    """Pages at /, the API at /api with its description at /api/openapi.json, assets at /static."""
    app = FastAPI(title="ProGuard console", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.console = console
    app.add_middleware(Protection)
    for module in _PAGES:
        app.include_router(module.router)
    app.include_router(api.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StoreError, _store_error)
    app.add_exception_handler(ReviewError, _review_error)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _said(request: Request, status: int, title: str, said: str = "", **more: Any) -> Response:
    """As JSON for the API, as a page for people."""
    headers = {"retry-after": "60"} if status == 429 else None
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": title, "detail": said, **more}, status, headers)
    if status == 401:
        return render.page(request, "login", 401, problem=None)
    answer = render.page(request, "problem", status, title=title, said=said)
    answer.headers.update(headers or {})
    return answer


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _said(request, error.status, error.title, error.said)


def _store_error(request: Request, error: Exception) -> Response:
    logger.warning("the risk store: %s", error)
    return _said(request, 503, "The risk store does not do this now", str(error))


def _review_error(request: Request, error: Exception) -> Response:
    more = {}
    if isinstance(error, ConflictError) and error.now is not None:
        more = {"cluster": {"id": error.now.id, "version": error.now.version, "name": shown.cluster_name(error.now)}}
    return _said(request, 409 if isinstance(error, ConflictError) else 422, "Nothing was decided", str(error), **more)


def _not_understood(request: Request, error: Exception) -> Response:
    """Without what was sent: it may be content, or no text at all."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
    said = "; ".join(wrong[:10]).encode("utf-8", "replace").decode()
    return _said(request, 422, "This was not understood", said)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    titles = {404: "There is no such page", 405: "This is not done here"}
    answer = _said(request, error.status_code, titles.get(error.status_code, "This does not work"))
    answer.headers.update(error.headers or {})
    return answer


def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("a page failed", exc_info=error)
    return _said(request, 500, "Something went wrong", "The log of the console says more.")
