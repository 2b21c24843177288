"""``examples/web_shop``: two web processes, and an engine that is killed while they take orders."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "examples" / "web_shop" / "README.md"
PATIENCE_S = 40.0


def until(found: Callable[[], Any], what: str) -> Any:
    """Ask again and again until there is something."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := found()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)
    return answer


def answers(address: str) -> bool:
    # The address is bound, and said, before a process listens there.
    with suppress(httpx.TransportError):
        return httpx.get(f"{address}/health", trust_env=False).is_success
    return False


def command_of(program: str) -> list[str]:
    """A command that the README shows, for any free port."""
    (line,) = re.findall(rf"^\$ ({program} .*)$", README.read_text(), re.MULTILINE)
    words = shlex.split(line.replace("--port 8000", "--port 0"))
    return [sys.executable, *(words[1:] if program == "python" else ["-m", *words])]


class Shop:
    """The processes of the shop, on one file."""

    def __init__(self, directory: Path) -> None:
        self.warehouse = directory / "warehouse"
        self._log = directory / "web.log"
        self._environment = os.environ | {
            "AION_STORE": f"sqlite:///{directory}/shop.db",
            "WAREHOUSE": str(self.warehouse),
        }

    @contextmanager
    def engine(self) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            command_of("python"),
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "the worker is ready\n"
                yield process
            finally:
                process.kill()

    @contextmanager
    def web(self) -> Iterator[str]:
        """The web app; yields its address."""
        with (
            self._log.open("w") as log,
            subprocess.Popen(
                command_of("uvicorn"), cwd=ROOT, env=self._environment, stdout=log, stderr=log
            ) as process,
        ):
            try:
                address = until(self._address, "the address of the web app")
                until(lambda: answers(address), "an answer of the web app")
                yield address
            finally:
                process.terminate()
                process.wait(PATIENCE_S)

    def _address(self) -> str | None:
        found = re.search(r"running on (http://\S+:\d+)", self._log.read_text())
        return None if found is None else found[1]

    def parcels(self) -> dict[str, int]:
        """How many parcels were sent for each order."""
        if not self.warehouse.exists():
            return {}
        return {path.name: len(path.read_text().splitlines()) for path in self.warehouse.iterdir()}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def connect_to_both(address: str, stack: ExitStack) -> list[httpx.Client]:
    """A connection to each of the two processes; they take connections as they come."""
    clients: dict[int, httpx.Client] = {}

    def both() -> list[httpx.Client]:
        client = httpx.Client(base_url=address, timeout=PATIENCE_S, trust_env=False)
        process = client.get("/health").json()["process"]
        if process in clients:
            client.close()
        else:
            clients[process] = client
            stack.callback(client.close)
        return list(clients.values()) if len(clients) == 2 else []

    return list(until(both, "a second process"))


def place(client: httpx.Client, number: int) -> httpx.Response:
    lines = [{"sku": "TEA", "quantity": number + 1}]
    order = {"order_id": f"order-{number}", "customer": "Ada", "lines": lines}
    return client.post("/orders", json=order)


def pay(client: httpx.Client, number: int) -> httpx.Response:
    paid = {"payment_id": f"payment-{number}", "amount": 24}
    return client.post(f"/orders/order-{number}/payment", json=paid)


def show(client: httpx.Client, number: int) -> Any:
    answer = client.get(f"/orders/order-{number}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for_the_end(client: httpx.Client, number: int) -> None:
    until(lambda: show(client, number)["status"] != "Running", f"the end of order {number}")


def test_every_order_comes_out_right_though_the_engine_is_killed(shop: Shop) -> None:
    with ExitStack() as stack, shop.web() as address:
        with shop.engine() as engine:
            web = connect_to_both(address, stack)
            for number in range(6):
                assert place(web[number % 2], number).status_code == 202
            assert pay(web[1], 0).status_code == 202
            until(shop.parcels, "a parcel")
            assert pay(web[0], 1).status_code == 202
            engine.kill()
        with ThreadPoolExecutor(8) as pool:
            # Taken while no engine is there, and answered when one is.
            calls = [pool.submit(place, web[number % 2], number) for number in range(4, 10)]
            calls += [pool.submit(pay, web[number % 2], number) for number in (0, 1, 2)]
            listed = web[0].get("/orders").json()["orders"]
            assert {f"order-{number}" for number in range(6)} <= {o["order_id"] for o in listed}
            with shop.engine():
                answers = [call.result() for call in calls]
                assert {each.status_code for each in answers[:6]} == {202}
                # The first was sent and paid for: it is over, and told so, unless that came late.
                assert {each.status_code for each in answers[6:]} <= {202, 409}
                assert web[0].post("/orders/order-9/cancel").status_code == 202
                for number in range(3, 9):
                    assert pay(web[number % 2], number).status_code == 202
                for number in range(9):
                    wait_for_the_end(web[0], number)
                ends = [show(web[1], number) for number in range(10)]
                assert web[0].get("/orders").json()["cursor"] is None
                assert len(web[0].get("/orders").json()["orders"]) == 10
    assert [end.get("result") for end in ends[:9]] == [f"parcel-order-{n}" for n in range(9)]
    assert ends[9]["status"] == "Cancelled"
    assert shop.parcels() == {f"order-{number}": 1 for number in range(9)}


def test_what_cannot_be_is_refused_with_a_status_and_a_sentence(shop: Shop) -> None:
    with (
        shop.web() as address,
        shop.engine(),
        httpx.Client(base_url=address, trust_env=False) as client,
    ):
        assert place(client, 1).status_code == 202
        other = {"order_id": "order-1", "customer": "Grace", "lines": []}
        assert client.post("/orders", json=other).status_code == 409
        assert client.post("/orders", content="{").status_code == 400
        assert client.post("/orders", json={"order_id": "2"}).status_code == 400
        assert client.get("/orders/none").status_code == 404
        assert "no workflow has the id 'order-3'" in pay(client, 3).json()["error"]
        assert pay(client, 1).status_code == 202
        wait_for_the_end(client, 1)
        assert client.post("/orders/order-1/cancel").status_code == 409
