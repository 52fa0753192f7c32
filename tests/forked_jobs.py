"""What the forked launcher's tests run: a job that says who it is, and one that waits to be ended."""

import os
import time
from pathlib import Path

import dagster as dg

WORD = "first"


@dg.op
def say(context: dg.OpExecutionContext) -> None:
    Path(os.environ["SAID"], context.run_id).write_text(f"{WORD} {os.getppid()}")


@dg.op
def linger(context: dg.OpExecutionContext) -> None:
    Path(os.environ["SAID"], context.run_id).write_text("here")
    time.sleep(120)


@dg.job(tags={"octo/lane": "live"}, executor_def=dg.in_process_executor)
def saying() -> None:
    say()


@dg.job(tags={"octo/lane": "live"}, executor_def=dg.in_process_executor)
def lingering() -> None:
    linger()


defs = dg.Definitions(jobs=[saying, lingering])
