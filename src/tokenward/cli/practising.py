"""What ``tokenward dev`` does: everything to practise on, in a folder of its own, in seconds.

Law of this module: the practice servers are started first and whatever takes long to import later,
so that both happen at once; and nothing here needs the machinery of a command line.
"""

import asyncio
import json as json_
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenward.cli import undisturbed
from tokenward.cli.saying import BOLD, FAINT, GREEN, fail, note, say
from tokenward.practice.config import CALLER_AUDIENCE, MODELS, REPORTS, SERVICE, config
from tokenward.practice.folder import CONFIG, FOR_SHELLS, VARIABLES, Kept, variables, write
from tokenward.practice.process import Places, Practice, listener

if TYPE_CHECKING:
    from tokenward.cli.recipes import Running

PORT = 8080
FOLDER = Path(".tokenward")
NO_HUB = (
    "No Textile Hub here: it needs the package websockets, an extra: "
    "pip install 'tokenward[server,hub]'. Then start this anew."
)
"""Said where there is none, because a recipe asks for it."""

Application = Callable[[Any, Any, Any], Awaitable[None]]


def practise(
    *, port: int | None = None, data: Path = FOLDER, show_config: bool = False, json: bool = False
) -> None:
    """Run until told to stop; raises ``SystemExit`` if that is not possible.

    ``port`` 0 picks a free one, ``None`` is the usual one, or a free one if somebody has that.
    """
    folder = data.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = Kept.read(folder)
        if show_config:
            _show_config(folder, kept, port)
            return
        ours = _listener(port)
        practice = Practice.start(kept.ports, _wanted(folder, kept, ours))
    except OSError as exc:
        fail(f"cannot use the folder {data}: {exc.strerror}", "Give another one with --data.")
    try:
        _run(folder, kept, ours, practice, json=json)
    except BrokenPipeError:  # nobody reads what we say any more
        raise
    except OSError as exc:
        fail(f"cannot run: {exc}")
    finally:
        practice.stop()
        ours.close()


def _run(folder: Path, kept: Kept, ours: socket.socket, practice: Practice, *, json: bool) -> None:
    # By now the practice servers are starting, and what takes longest here can begin.
    with undisturbed():
        from tokenward.cli.recipes import Running  # noqa: PLC0415
        from tokenward.server.app import application  # noqa: PLC0415
        from tokenward.server.seal import SealBroken  # noqa: PLC0415
        from tokenward.server.serve import serve  # noqa: PLC0415
        from tokenward.server.settings import ConfigError, load  # noqa: PLC0415
        from tokenward.server.stores import StoreUnavailable, WrongStore  # noqa: PLC0415

    if not json and Path(CONFIG).exists():
        note(f"dev ignores the {CONFIG} here; tokenward serve uses it.")
    port = ours.getsockname()[1]
    kept = replace(kept, ports=practice.ports, port=port)
    kept.write(folder)
    write(folder / CONFIG, config(folder, port, practice.places))
    said = variables(kept.environment(), comment=f"What the {CONFIG} here calls ${{NAME}}.")
    write(folder / VARIABLES, said)
    try:
        settings = load(folder / CONFIG, kept.environment())
    except ConfigError as exc:
        fail(f"cannot use the folder {folder}: {exc}", "Give another one with --data.")
    running = Running(
        issuer=f"http://127.0.0.1:{port}",
        folder=folder,
        places=practice.places,
        kept=kept,
        caller_token=practice.ready(),
    )
    said = variables(
        running.for_shells(), comment="For shells, while tokenward dev runs: . this", export=True
    )
    write(folder / FOR_SHELLS, said)

    def ready(_: str) -> None:
        if json:
            print(json_.dumps(running.to_json()), flush=True)
        else:
            _show(running)

    try:
        app = application(settings, pages=_pages(running))
        serve(app, listener=ours, ready=ready, attended=True)
    except (WrongStore, StoreUnavailable, SealBroken) as exc:
        fail(f"cannot use the folder {folder}: {exc}", "Give another one with --data.")


def _listener(port: int | None) -> socket.socket:
    try:
        return listener(PORT, 0) if port is None else listener(port)
    except OSError as exc:
        why = exc.strerror.lower() if exc.strerror else "it cannot be opened"
        fail(f"cannot listen on port {port}: {why}", "Let it pick one: tokenward dev --port 0")


def _wanted(folder: Path, kept: Kept, ours: socket.socket) -> dict[str, object]:
    issuer = f"http://127.0.0.1:{ours.getsockname()[1]}"
    return {
        "issuer": issuer,
        "audience": REPORTS,
        "ims": f"{issuer}/ims",
        "ims_audience": MODELS,
        "caller_audience": CALLER_AUDIENCE,
        "client_id": SERVICE,
        "client_secret": kept.itwin_secret,
        "keys": str(folder / "practice.key"),
    }


def _pages(running: "Running") -> Application:
    """The pages, made when somebody first looks at one: most starts never need them."""
    made: list[Application] = []

    def make() -> Application:
        from tokenward.cli.keyrecipes import by_key  # noqa: PLC0415
        from tokenward.server.pages.welcome import welcome  # noqa: PLC0415

        return welcome(
            issuer=running.issuer,
            recipes=running.recipes(),
            more=running.more(),
            by_key=by_key(running),
            places=running.listed(),
            config=(running.folder / CONFIG).read_text(encoding="utf-8"),
            trail=running.folder / "audit.jsonl",
            audience="reports",
            api=running.urls["api"],
        )

    async def pages(scope: Any, receive: Any, send: Any) -> None:
        if not made:
            made.append(await asyncio.to_thread(make))
        await made[0](scope, receive, send)

    return pages


def _show_config(folder: Path, kept: Kept, port: int | None) -> None:
    """The configuration as the last start in this folder had it, or the next one will."""
    if not all(kept.ports):
        free = listener(0), listener(0), listener(0)
        first, second, third = (one.getsockname()[1] for one in free)
        for one in free:
            one.close()
        kept = replace(kept, ports=(first, second, third))
        kept.write(folder)
    if port is None:
        port = kept.port or PORT
    print(config(folder, port, Places.at(*kept.ports)), end="")


def _show(running: "Running") -> None:
    for number, recipe in enumerate(running.recipes(), 1):
        say(f"{number}. {recipe.title}", BOLD)
        say(recipe.code)
        say()
    say(f"Ready: {running.issuer}", GREEN)
    say(f"In a browser, with copy buttons and the trail of what happened: {running.issuer}/")
    try:
        folder = running.folder.relative_to(Path.cwd())
    except ValueError:
        folder = running.folder
    say(f"In another terminal:  . {os.path.join(folder, FOR_SHELLS)}", FAINT)  # noqa: PTH118
    if "hub" not in running.urls:
        say(NO_HUB, FAINT)
    say("Ctrl-C ends it.", FAINT)
