"""Run all practice servers in this process, until standard input is closed by whoever started it.

One line of JSON in, on standard input: the listening sockets, where tokens of ours come from and
what they are for. One line of JSON out, on standard output, when all of them answer: a token of
somebody who may ask us.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

from tokenward.jose.keys import SigningKey
from tokenward.practice.folder import write
from tokenward.practice.identity_provider import identity_provider, token_for
from tokenward.practice.itwin_platform import itwin_platform
from tokenward.practice.process import Places
from tokenward.practice.reports_api import reports_api


def main() -> None:
    """Start, say so, and wait."""
    line = sys.stdin.readline()
    if line:  # else whoever started us is gone already
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(json.loads(line)))


async def _run(wanted: dict[str, Any]) -> None:
    key = _key(Path(wanted["keys"]))
    sockets = [socket.socket(fileno=number) for number in wanted["sockets"]]
    places = Places.at(*(it.getsockname()[1] for it in sockets))
    apps: list[Any] = [
        identity_provider(places.idp, wanted["caller_audience"], key),
        itwin_platform(
            places.itwin,
            wanted["client_id"],
            wanted["client_secret"],
            key,
            also=(wanted["ims"], wanted["ims_audience"]),
        ),
        reports_api(wanted["issuer"], wanted["audience"]),
    ]
    servers = [
        uvicorn.Server(
            uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none")
        )
        for app in apps
    ]
    running = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, sockets, strict=True)
    ]
    await _until_all_answer(servers)
    token = token_for(key, places.idp, wanted["caller_audience"], "ann", now=time.time())
    with contextlib.suppress(BrokenPipeError):  # who started us may be gone before it could listen
        os.write(sys.stdout.fileno(), json.dumps({"caller_token": token}).encode() + b"\n")
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)


async def _until_all_answer(servers: list[uvicorn.Server]) -> None:
    """Uvicorn tells that it has started in no other way than this."""
    while not all(server.started for server in servers):  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def _key(path: Path) -> SigningKey:
    """The practice key, kept so that a token pasted yesterday is still good today."""
    with contextlib.suppress(OSError, ValueError):
        return SigningKey.from_bytes(path.read_bytes())
    key = SigningKey.generate("RS256")
    write(path, key.to_bytes().decode())
    return key


if __name__ == "__main__":
    main()
