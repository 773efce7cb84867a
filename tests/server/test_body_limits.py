"""Every route says how much it takes, and is believed."""

from __future__ import annotations

import inspect

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from engine.server.app import add_routes
from engine.server.middleware import JOB_BODY, SMALL_BODY, body_limit

LARGEST = 10**9


@pytest.fixture(scope="module")
def app() -> FastAPI:
    made = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(made)
    return made


def limit(app: FastAPI, method: str, path: str) -> int:
    return body_limit(app, {"type": "http", "method": method, "path": path, "headers": []}, LARGEST)


def test_every_route_with_a_body_declares_its_limit(app: FastAPI) -> None:
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) > 10
    for route in routes:
        source = inspect.getsource(route.endpoint)
        reads = "json_body(" in source or ".stream()" in source or ".body()" in source
        sends = bool({"POST", "PUT", "PATCH"} & set(route.methods or ()))
        assert reads == sends == hasattr(route.endpoint, "body_limit"), route.path


@pytest.mark.parametrize(("method", "path", "expected"), [
    ("PUT", "/v1/jobs/a", JOB_BODY), ("POST", "/v1/check", JOB_BODY), ("POST", "/v1/estimate", JOB_BODY),
    ("POST", "/v1/jobs/a/control", SMALL_BODY), ("PUT", "/v1/blobs/x", LARGEST), ("PATCH", "/v1/blobs/x", LARGEST),
    ("HEAD", "/v1/blobs/x", 0), ("GET", "/v1/jobs", 0), ("DELETE", "/v1/jobs/a", 0), ("POST", "/v1/jobs", 0), ("PUT", "/nowhere", 0)])
def test_limits(app: FastAPI, method: str, path: str, expected: int) -> None:
    assert limit(app, method, path) == expected
