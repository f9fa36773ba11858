"""The tables are brought up to date by whoever comes first; all others wait for that.

Law of this module: all steps are one transaction, which begins with the lock. Whoever is killed in
the middle has changed nothing, and tables of a later version are left alone.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from tokenward.server.records.tables import VERSIONS
from tokenward.server.stores import WrongStore

_FOLDER = Path(__file__).with_name("migrations")

_LOCK = 0x746F6B656E78
"""Whoever changes the tables of the records holds this; others wait for him."""


def migrate(engine: Engine, to: str = "head") -> bool:
    """Take all steps that have not been taken, or those down to a version; whether there were any.

    Raises ``WrongStore`` if a later version of ours took some, and what the database raises.
    """
    scripts = _scripts()
    with engine.begin() as connection:
        if to == "head" and _version(connection, scripts) == scripts.get_current_head():
            return False
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = _version(connection, scripts)
        config = _config()
        config.attributes["connection"] = connection
        if to == "head":
            command.upgrade(config, to)
        else:
            command.downgrade(config, to)
        return _version(connection, scripts) != before


def version(engine: Engine) -> str | None:
    """The step that was taken last."""
    with engine.begin() as connection:
        return _version(connection, _scripts())


def _version(connection: Connection, scripts: ScriptDirectory) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSIONS})
    return _known(context.get_current_revision(), scripts)


def known(found: str) -> str:
    """This version, which is read somewhere else; ``WrongStore`` if it is a later one of ours."""
    return str(_known(found, _scripts()))


def _known(found: str | None, scripts: ScriptDirectory) -> str | None:
    known = [script.revision for script in scripts.walk_revisions()]
    if found is not None and found not in known:
        raise WrongStore(
            f"the records were written by a newer tokenward (version {found}, this one knows"
            f" {known[0]}): use that one, or another database"
        )
    return found


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    # Its settings are those of an INI file, where % begins a reference.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
