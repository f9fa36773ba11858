"""Processes that migrate a database, some of them killed: run as a program, it prints what came.

python -m tests.server.records.taking_steps kill|race URL
"""

import json
import os
import signal
import sys

from sqlalchemy import event, inspect

from tokenward.server.records.migrating import migrate, version
from tokenward.server.records.opening import open_engine


def child(url, kill_at=0):
    """The process that migrates; ended by SIGKILL after so many statements, if that many."""
    if pid := os.fork():
        return pid
    code = 2
    try:
        engine = open_engine(url)
        done = 0

        @event.listens_for(engine, "after_cursor_execute")
        def count(*_):
            nonlocal done
            done += 1
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        code = int(migrate(engine))
    finally:
        os._exit(code)


def kill(url):
    """After every statement in turn: what is there of the records then."""
    found = []
    for number in range(1, 200):
        _, status = os.waitpid(child(url, number), 0)
        code = os.waitstatus_to_exitcode(status)
        engine = open_engine(url)
        tables = [name for name in inspect(engine).get_table_names() if name.startswith("tokenw")]
        found.append([code, version(engine), len(tables)])
        if code >= 0:
            return found
    return found


def race(url):
    """The exit codes of some who begin at the same time."""
    pids = [child(url) for _ in range(6)]
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


if __name__ == "__main__":
    print(json.dumps({"kill": kill, "race": race}[sys.argv[1]](sys.argv[2])))  # noqa: T201
