#!/bin/sh
# FastAPI 0.165.0: include_router no longer copies a router's routes into the application. app.routes holds one
# _IncludedRouter without a path instead, so that code which lists the Route objects of app.routes (checks of rights,
# of documentation, of methods) finds none of them and passes. The routes are answered all the same.
# Seen: "app.routes: ['_IncludedRouter']", "Route objects: 0", "GET /a: 200".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fastapi==0.165.0 starlette==1.10.0 httpx==0.28.1
"$folder/venv/bin/python" - <<'PY'
import asyncio

import httpx
from fastapi import APIRouter, FastAPI
from starlette.routing import Route

router = APIRouter()


@router.get("/a")
async def a() -> int:
    return 1


app = FastAPI(openapi_url=None)
app.include_router(router)
kinds = [type(route).__name__ for route in app.routes]
listed = [route for route in app.routes if isinstance(route, Route)]


async def status() -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return (await client.get("/a")).status_code


answered = asyncio.run(status())
print("app.routes:", kinds)
print("Route objects:", len(listed))
print("GET /a:", answered)
raise SystemExit(0 if kinds == ["_IncludedRouter"] and not listed and answered == 200 else 1)
PY
