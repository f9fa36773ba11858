"""``tokenward restore``: what a backup has becomes what the server keeps, while none runs."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokenward.cli.backup import digest_of, file_of_store
from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Config, Json
from tokenward.cli.saying import BOLD, fail, note, say, say_json

if TYPE_CHECKING:
    from tokenward.server.settings import Settings
    from tokenward.server.stores.sqlite.copies import Backup

EXAMPLES = """
tokenward restore /var/backups/tokenward-monday.backup
tokenward restore everything.backup --config /etc/tokenward/tokenward.toml
"""


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What backup made.", show_default=False)
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Put a backup where the configuration says that the server keeps things.

    The backup is checked before anything is touched: that it is whole, of a version we know, and
    that the encryption key at hand opens the signing keys in it. If there is no such key, and the
    backup has one, that is written where it belongs. The store that was there stays beside the new
    one, under another name.

    No server may run on that store: as long as one does, SQLite holds a lock on the file, which
    is how this knows, and it ends with 1. What happened after the backup was made is forgotten:
    what was revoked since then is good again until it expires.
    """
    settings = settings_or_exit(config, json=json)
    store = file_of_store(settings, "restore", file, json=json)
    from tokenward.server.seal import SealBroken  # noqa: PLC0415
    from tokenward.server.stores import WrongStore  # noqa: PLC0415
    from tokenward.server.stores.sqlite.copies import InUse, opened, put_back  # noqa: PLC0415

    aside = store.with_name(f"{store.name}.{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.old")
    try:
        with opened(file) as backup:
            label = backup.label
            _check_records(backup)
            key = _missing_key(settings, store, backup)
            was_there = put_back(
                backup, store, aside, first=None if key is None else lambda: _write(key, label.key)
            )
    except InUse as exc:
        fail(str(exc), "Stop the server first, then say this again.", in_json=json)
    except (WrongStore, SealBroken) as exc:
        fail(f"nothing was restored: {exc}", in_json=json)
    except (OSError, sqlite3.Error) as exc:
        fail(f"nothing was restored: {store}: {exc}", in_json=json)
    changed = label.configuration != digest_of(config)
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(label.made))
    if json:
        say_json(
            {
                "ok": True,
                "store": str(store),
                "made": round(label.made),
                "kept_aside": str(aside) if was_there else None,
                "key_written": None if key is None else str(key),
                "configuration_changed": changed,
            }
        )
        return
    say(f"{store} is what it was at {made}", BOLD)
    if was_there:
        say(f"what was there is in {aside}")
    if key is not None:
        say(f"the encryption key is in {key}")
    if changed:
        note(f"The configuration is not the one of then (sha256:{label.configuration or 'none'}).")
    note("What was revoked or removed since then is good again: tokens until they expire, signing")
    note("keys, clients, API keys and hub keys until you end them once more (tokenward keys list,")
    note("clients list, api-keys list, hub keys list).")


def _check_records(backup: "Backup") -> None:
    """Raises ``WrongStore`` if the clients in it were written by a later version of ours."""
    from tokenward.server.records.migrating import known  # noqa: PLC0415
    from tokenward.server.records.tables import VERSIONS  # noqa: PLC0415

    there = "SELECT 1 FROM sqlite_master WHERE name = ?"
    if backup.db.execute(there, (VERSIONS,)).fetchone():
        for (version,) in backup.db.execute(f"SELECT version_num FROM {VERSIONS}"):  # noqa: S608
            known(version)


def _missing_key(settings: "Settings", store: Path, backup: "Backup") -> Path | None:
    """Where the key of the backup has to be written; ``None`` if a key is at hand that opens it.

    Raises ``WrongStore`` if there is neither, and ``SealBroken`` if it is another one.
    """
    from tokenward.server.keeping import key_file  # noqa: PLC0415
    from tokenward.server.keyring import PLACE  # noqa: PLC0415
    from tokenward.server.seal import Seal, SealBroken  # noqa: PLC0415
    from tokenward.server.stores import WrongStore  # noqa: PLC0415

    where = key_file(settings, store)
    rings = backup.shelf(PLACE)
    missing = where is not None and not where.exists()
    if missing and not backup.label.key:
        if rings:
            raise WrongStore(f"its signing keys need their encryption key: put that into {where}")
        return None
    if where is None:
        seal = Seal.from_text(settings.encryption_key)
    else:
        seal = Seal.from_text(backup.label.key) if missing else Seal.from_file(where)
    for place, sealed in rings:
        try:
            seal.open(sealed, place)
        except SealBroken:
            whose = where or "encryption_key"
            hint = f"; it has its own: move {where} away" if where and backup.label.key else ""
            raise SealBroken(f"{whose} does not open its signing keys ({place}){hint}") from None
    return where if missing else None


def _write(path: Path, text: str) -> None:
    """Write the key for its owner's eyes only; raises ``FileExistsError`` if one is there."""
    from tokenward.server.stores.sqlite.copies import belongs_as  # noqa: PLC0415

    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        belongs_as(path, path.absolute().parent)
    except BaseException:
        with suppress(FileNotFoundError):
            path.unlink()
        raise
