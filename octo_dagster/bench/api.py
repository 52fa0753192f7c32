"""The read API over a million customers: how long a web page waits, and how many it could serve.

`octo serve` in one process (with the pages, as it is by default), beside a bare FastAPI "hello world" on the
same uvicorn with the same settings. Waiting: 500 requests a second, sent when they are due whether or not
others were answered (so that a stall counts for everybody it keeps waiting), for a profile of 47 columns, and
for one with ten recommended products and their pictures; every customer at random; in turns with the hello
world, of which the middle one of each counts: a hello world that waits long says that the machine was not
free. Throughput: `wrk`, eight connections, as fast as they are answered, in the same turns; the best of each
counts.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
from fastapi import FastAPI
from starlette.types import ASGIApp

from octo_dagster.api.keys import Keys
from octo_dagster.api.server import serve
from octo_dagster.bench.figure import Figure
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.pages.front import served

CUSTOMERS, RATE, SECONDS, TURNS = 1_000_000, 500, 10, 3
PRODUCTS, LISTED, CONNECTIONS = 5_000, 10, 8
WAIT = 10.0
"""Milliseconds a web page may wait, in 99 of 100 cases."""
SHARE = 0.7
"""Of the hello world's throughput."""
KINDS = (
    "cast({h} % 1000 as bigint)",
    "cast({h} % 100000 / 100 as decimal(18, 2))",
    "'segment ' || {h} % 9",
    "timestamp '2026-01-01' + to_seconds(cast({h} % 30000000 as bigint))",
    "{h} % 2 = 0",
)
WIDTH = 45
"""Columns of the profile beside id and address."""
WRK = """
request = function() return wrk.format("GET", string.format("{path}", math.random(0, {last}))) end
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a server: a path in which `%d` is a customer's number."""

    title: str
    address: str
    path: str
    key: str
    customers: int

    def paths(self) -> Iterator[str]:
        """One after another, the same in every run."""
        chance = random.Random(7)
        while True:
            yield self.path.replace("%d", str(chance.randrange(self.customers)))


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Waiting, then throughput. ConfigError without `wrk`, unless it is a small run."""
    customers = 2_000 if small else CUSTOMERS
    made = staged(folder / "shop", customers)
    key = Keys(made.home).add("bench", dict.fromkeys(("customer_profile", "recommendations"), "*"), 1_000_000)
    with ExitStack() as stack:
        octo, hello = (stack.enter_context(server(name, folder / "shop")) for name in ("octo", "hello"))
        one = "/v1/customers/c%d"
        asked = (
            Question("a profile", octo, one, key, customers),
            Question("a profile and recommendations", octo, f"{one}?include=recommendations", key, customers),
        )
        bare = Question("hello", hello, "/", key, customers)
        yield from waiting(asked, bare, (100, 1, 1) if small else (RATE, SECONDS, TURNS))
        if not small or shutil.which("wrk"):
            yield from throughput(asked, bare, folder, (1, 1) if small else (TURNS, 4))


def waiting(asked: Sequence[Question], bare: Question, load: tuple[int, int, int]) -> Iterator[Figure]:
    """How long answers take at a steady rate, in milliseconds: of each percentile the middle turn's."""
    rate, seconds, turns = load
    each = [bare, *asked]
    found = [[asyncio.run(paced(question, rate, seconds)) for question in each] for _ in range(turns)]

    def middle(place: int, percent: int) -> float:
        return statistics.median(cut(turn[place], percent) for turn in found)

    for place, question in enumerate(asked, start=1):
        title = f"{question.title}, {question.customers:,} customers, {rate} a second"
        yield Figure(f"{title}: p99", middle(place, 99), "ms", "a web page's patience", WAIT, 1.0)
        yield Figure(f"{title}: p99", middle(place, 99), "ms", "hello world", middle(0, 99))
        yield Figure(f"{title}: median", middle(place, 50), "ms", "hello world", middle(0, 50))


def cut(took: Sequence[float], percent: int) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[percent - 1] * 1_000


async def paced(question: Question, rate: int, seconds: int) -> list[float]:
    """Seconds from when each request was due until it was answered. RuntimeError when one is not 200."""
    parts = urlsplit(question.address)
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(4 * CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(parts.hostname, parts.port))
    took: list[float] = []

    async def ask(path: str, due: float) -> None:
        reader, writer = link = await free.get()
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {question.key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"{question.title}: {head.decode()}")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        took.append(time.perf_counter() - due)
        free.put_nowait(link)

    gc.collect()
    gc.freeze()  # what this process has imported is not looked through meanwhile
    begun, paths = time.perf_counter() + 0.1, question.paths()
    async with asyncio.TaskGroup() as group:
        for number in range(rate * seconds):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(next(paths), due))
    while not free.empty():
        free.get_nowait()[1].close()
    gc.unfreeze()
    return took[rate // 2 :]  # what is warm counts


def throughput(
    asked: Sequence[Question], bare: Question, folder: Path, load: tuple[int, int]
) -> Iterator[Figure]:
    """Requests a second, as fast as they are answered, beside the hello world's in the same turns."""
    turns, seconds = load
    each = [bare, *asked]
    found = [[rushed(question, folder, seconds) for question in each] for _ in range(turns)]
    best = {one.title: max(turn[place] for turn in found) for place, one in enumerate(each)}
    for question in asked:
        title = f"{question.title}, {question.customers:,} customers: throughput"
        yield Figure(title, best[question.title], "/s", "hello world", best[bare.title], least=SHARE)


def rushed(question: Question, folder: Path, seconds: int) -> float:
    """What wrk measures. RuntimeError when an answer was no success."""
    if not (wrk := shutil.which("wrk")):
        raise ConfigError("wrk is needed to measure throughput (apt-get install wrk)")
    script = folder / "asked.lua"
    script.write_text(WRK.format(path=question.path, last=question.customers - 1))
    head = f"Authorization: Bearer {question.key}"
    said = subprocess.run(
        [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-H", head, "-s", script, question.address],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{question.title}: {said}")
    return float(said.partition("Requests/sec:")[2].split()[0])


def staged(root: Path, customers: int) -> Project:
    """A project with a published profile of 47 columns, and ten recommended products a customer."""
    (root / "assets").mkdir(parents=True)
    made = Project(root, root / ".octo")
    wide = ", ".join(f"{KINDS[n % len(KINDS)].format(h=f'hash(i, {n})')} as column_{n}" for n in range(WIDTH))
    have(
        made,
        "customer_profile",
        f"select 'c' || i as customer_id, 'customer' || i || '@example.com' as email, {wide}"
        f" from range({customers}) t(i)",
    )
    have(
        made,
        "products",
        f"""select 'p' || i as product_id, 'Product ' || i as name, 'category ' || i % 20 as category,
            'brand' as brand, 4.50 as price, 'https://img.example.com/' || i || '.jpg' as image_url,
            'https://shop.example.com/p/' || i as url from range({PRODUCTS}) t(i)""",
    )
    have(
        made,
        "recommendations",
        f"""select 'c' || i as customer_id, 'discover' as list, r as rank, 'p' || hash(i, r) % {PRODUCTS} as
            product_id, 'popular' as reason, 'bought by customers like this one' as reason_text
            from range({customers}) t(i), range(1, {LISTED + 1}) q(r)""",
    )
    made.publish()
    return made


def have(made: Project, table: str, query: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        made.warehouse.replace(table, connection.sql(query).to_arrow_reader(100_000), {"as_of": "2026-11-22"})


@contextmanager
def server(name: str, root: Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "octo_dagster.bench.api", name, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        yield str(json.loads(process.stdout.readline()))
        process.terminate()


def octo(root: Path) -> ASGIApp:
    """What `octo serve` serves."""
    return served(Project(root, root / ".octo"), "127.0.0.1", pages=True)[0]


def hello(_: Path) -> ASGIApp:
    """The least a FastAPI application can do."""
    made = FastAPI()

    @made.get("/")
    async def say() -> dict[str, str]:
        return {"hello": "world"}

    return made


SERVERS: dict[str, Callable[[Path], ASGIApp]] = {"octo": octo, "hello": hello}


def main(name: str, root: str) -> None:
    """Serve until told to stop; the address is the first line of output."""
    serve(SERVERS[name](Path(root)), "127.0.0.1", 0, lambda address: print(json.dumps(address), flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
