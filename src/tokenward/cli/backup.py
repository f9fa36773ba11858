"""``tokenward backup``: a copy of what the server keeps, while it runs."""

import sqlite3
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokenward import __version__
from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Config, Json
from tokenward.cli.saying import BOLD, fail, note, say, say_json

if TYPE_CHECKING:
    from tokenward.server.settings import Settings

EXAMPLES = """
tokenward backup /var/backups/tokenward-monday.backup
tokenward backup --force latest.backup         # instead of the backup that has this name
tokenward backup --with-key everything.backup  # whoever has this file can mint tokens
"""

ELSEWHERE = {
    "backup": "pg_dump --format=custom --host=HOST --username=USER --file={file} DATABASE",
    "restore": "stop all servers, then pg_restore --clean --if-exists --single-transaction"
    " --host=HOST --username=USER --dbname=DATABASE {file}",
}
"""What does the same for PostgreSQL."""


def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the copy goes.", show_default=False)
    ],
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="Copy the encryption key, too.", show_default=False),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an older backup.", show_default=False)
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Copy what the server keeps in its SQLite file, while it runs; nobody waits for it.

    The copy is of one moment, is checked, and can be read by its owner alone. The signing keys in
    it are sealed: without the encryption key they are worth nothing, so keep that somewhere else,
    or say --with-key and guard the copy as you guard the server. The configuration is not in it,
    only its SHA-256.
    """
    settings = settings_or_exit(config, json=json)
    store = file_of_store(settings, "backup", file, json=json)
    from tokenward.server.keeping import key_file  # noqa: PLC0415
    from tokenward.server.stores import WrongStore  # noqa: PLC0415
    from tokenward.server.stores.sqlite.copies import Label, take  # noqa: PLC0415

    where = key_file(settings, store)
    label = Label(
        made=time.time(),
        version=__version__,
        configuration=digest_of(config),
        key=_key(settings, where, json=json) if with_key else "",
    )
    try:
        if where is not None and _same(file, where):
            raise WrongStore(f"{file} is the encryption key: name another file")  # noqa: TRY301
        size = take(store, file, label, force=force)
    except WrongStore as exc:
        fail(str(exc), in_json=json)
    except (OSError, sqlite3.Error) as exc:
        fail(f"{store} cannot be copied to {file}: {exc}", in_json=json)
    if json:
        digest = label.configuration or None
        say_json(
            {
                "ok": True,
                "backup": str(file),
                "bytes": size,
                "made": round(label.made),
                "with_key": with_key,
                "configuration": digest and {"sha256": digest},
            }
        )
        return
    say(f"{store} was copied to {file} ({size:,} bytes)", BOLD)
    if label.configuration:
        say(f"with the configuration sha256:{label.configuration}")
    if with_key:
        note("The encryption key is in it: whoever has this file can mint tokens.")
    else:
        place = "the variable it comes from" if where is None else where
        note(f"The encryption key is not in it: keep a copy of {place} somewhere else.")


def file_of_store(settings: "Settings", command: str, file: Path, *, json: bool) -> Path:
    """The SQLite file the server keeps things in; where there is none, what to do instead."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.stores import open_store  # noqa: PLC0415

    if settings.store.lower().startswith("postgres"):
        fail(
            "the store is a PostgreSQL database, which makes a consistent copy of its own while"
            " everybody writes, with the tables' rights and whatever else is in it",
            ELSEWHERE[command].format(file=file),
            in_json=json,
        )
    path = open_store(settings.store, now).path
    if path is None:
        fail(
            "the store is memory:, so what is kept is in the running server and nowhere else",
            'Keep it in a file: store = "sqlite:///var/lib/tokenward.db"',
            in_json=json,
        )
    return path


def digest_of(config: Path | None) -> str:
    """The SHA-256 of the configuration file; ``""`` if there is none (ITM_ variables)."""
    file = config or Path("tokenward.toml")
    return sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def _key(settings: "Settings", where: Path | None, *, json: bool) -> str:
    """The encryption key as it is written; ends here if there is none."""
    if where is None:
        return settings.encryption_key
    try:
        return where.read_text(encoding="ascii")
    except (OSError, ValueError) as exc:
        fail(f"the encryption key {where} cannot be read: {exc}", in_json=json)


def _same(one: Path, other: Path) -> bool:
    return one.absolute().parent.resolve() / one.name == other.resolve()
