"""The web side of the shop: any number of processes, which ask the one that runs the engine."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict, TypeVar

import cattrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import aion_runtime as aion
from aion_runtime import from_asyncio
from examples.web_shop.orders import Order, Payment, fulfil, payment, stage

T = TypeVar("T")

CONVERTER = cattrs.Converter(detailed_validation=False)
STATUS_CODES = {
    aion.InvalidIdError: 400,
    aion.WorkflowNotFoundError: 404,
    aion.WorkflowClosedError: 409,
    aion.WorkflowAlreadyStartedError: 409,
    aion.NoAnswerError: 503,  # the engine is down; what was asked is kept, and done when it is up
}


class State(TypedDict):
    client: from_asyncio.Client


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[State]:
    async with from_asyncio.open_client(workflows=[fulfil]) as client:  # the store: AION_STORE
        yield {"client": client}


def client_of(request: Request) -> from_asyncio.Client:
    client: from_asyncio.Client = request.state.client
    return client


def run_of(request: Request) -> from_asyncio.WorkflowHandle[str]:
    return client_of(request).get(request.path_params["order_id"])


async def read_body(request: Request, cls: type[T]) -> T:
    try:
        return CONVERTER.structure(await request.json(), cls)
    except (KeyError, TypeError, ValueError) as error:
        raise HTTPException(400, f"the body is no {cls.__name__}: {error!r}") from None


async def place(request: Request) -> Response:
    order = await read_body(request, Order)
    # Idempotent by the id: a browser may send it twice, to whichever process.
    await client_of(request).start(
        fulfil, order, workflow_id=order.order_id, attributes={"customer": order.customer}
    )
    return JSONResponse({"order_id": order.order_id}, 202)


async def show(request: Request) -> Response:
    run = run_of(request)
    summary = await run.describe()
    answer = {"order_id": summary.workflow_id, "status": summary.status.value}
    if not summary.status.is_closed:
        answer["stage"] = await run.query(stage)
    elif summary.status is aion.WorkflowStatus.COMPLETED:
        answer["result"] = await run.result()
    return JSONResponse(answer)


async def pay(request: Request) -> Response:
    paid = await read_body(request, Payment)
    await run_of(request).signal(payment, paid, signal_id=paid.payment_id)  # counts once
    return JSONResponse({"payment_id": paid.payment_id}, 202)


async def cancel(request: Request) -> Response:
    await run_of(request).cancel("by the customer")
    return JSONResponse({}, 202)


async def list_orders(request: Request) -> Response:
    orders = aion.RunFilter(workflow_type=fulfil.name)
    page = await client_of(request).list_runs(orders, cursor=request.query_params.get("cursor"))
    rows = [{"order_id": run.workflow_id, "status": run.status.value} for run in page.runs]
    return JSONResponse({"orders": rows, "cursor": page.cursor})


async def health(request: Request) -> Response:
    return JSONResponse({"process": os.getpid()})


async def refuse(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, STATUS_CODES[type(error)])


app = Starlette(
    routes=[
        Route("/orders", place, methods=["POST"]),
        Route("/orders", list_orders),
        Route("/orders/{order_id}", show),
        Route("/orders/{order_id}/payment", pay, methods=["POST"]),
        Route("/orders/{order_id}/cancel", cancel, methods=["POST"]),
        Route("/health", health),
    ],
    exception_handlers=dict.fromkeys(STATUS_CODES, refuse),
    lifespan=lifespan,
)
