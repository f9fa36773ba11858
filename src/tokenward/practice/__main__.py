"""Run all practice servers in this process, until standard input is closed by whoever started it.

One line of JSON in, on standard input: where tokens of ours come from and what they are for. One
line of JSON out, on standard output, when all of them answer: where they are.
"""

import asyncio
import contextlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from tokenward.jose.keys import SigningKey
from tokenward.practice.identity_provider import identity_provider, token_for
from tokenward.practice.itwin_platform import itwin_platform
from tokenward.practice.reports_api import reports_api


def main() -> None:
    """Start, say where, and wait."""
    wanted = json.loads(sys.stdin.readline())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(wanted))


async def _run(wanted: dict[str, Any]) -> None:
    key = _key(Path(wanted["keys"]))
    sockets = [_listener(port) for port in wanted["ports"]]
    idp, itwin, api = (f"http://127.0.0.1:{it.getsockname()[1]}" for it in sockets)
    apps: list[Any] = [
        identity_provider(f"{idp}/", wanted["caller_audience"], key),
        itwin_platform(itwin, wanted["client_id"], wanted["client_secret"], key),
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
    token = token_for(key, f"{idp}/", wanted["caller_audience"], "ann", now=wanted["now"])
    said = {"idp": f"{idp}/", "itwin": itwin, "api": api, "caller_token": token}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)


async def _until_all_answer(servers: list[uvicorn.Server]) -> None:
    """Uvicorn tells that it has started in no other way than this."""
    while not all(server.started for server in servers):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def _key(path: Path) -> SigningKey:
    """The practice key, kept so that a token pasted yesterday is still good today."""
    if not path.exists():
        path.write_bytes(SigningKey.generate("RS256").to_bytes())
        path.chmod(0o600)
    return SigningKey.from_bytes(path.read_bytes())


def _listener(port: int) -> socket.socket:
    """A port of our own; another one if somebody has the one we had."""
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
        except OSError:
            listener.close()
            if not wanted:
                raise
            continue
        return listener
    raise OSError("no port is free")


if __name__ == "__main__":
    main()
