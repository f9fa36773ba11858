"""The tables in PostgreSQL, and what is done to them in one step.

All writes go through one function in the database, told of many at once: it does one after the
other, so that a group costs one question and one commit, and whatever it decides it decides while
it holds the row. Law: everybody asks for rows in the same order (the order of the arrays), so that
no two processes wait for each other; and we never write to tables of a later version.

A later version gives its function another name, so that processes of both may run side by side.
"""

from typing import Any

from psycopg import AsyncConnection

from tokenward.server.stores import WrongStore

_VERSIONS = (
    """
    -- Keys are compared by code point, whatever the language of the database. For good is infinity.
    CREATE TABLE tokenward_shelf (
        key text COLLATE "C" PRIMARY KEY,
        value bytea NOT NULL,
        until double precision NOT NULL CHECK (until <> 'NaN')
    );
    CREATE INDEX tokenward_shelf_until ON tokenward_shelf (until);

    -- Room is left beside each link, so that spending it touches no index.
    CREATE TABLE tokenward_chains (
        key text COLLATE "C" PRIMARY KEY,
        family text COLLATE "C" NOT NULL,
        value bytea,
        replay bytea,
        spent double precision,
        successor text COLLATE "C",
        until double precision NOT NULL CHECK (until <> 'NaN')
    ) WITH (fillfactor = 70);
    CREATE INDEX tokenward_chains_family ON tokenward_chains (family);
    CREATE INDEX tokenward_chains_until ON tokenward_chains (until);

    CREATE TABLE tokenward_leases (
        name text COLLATE "C" PRIMARY KEY,
        number bigint NOT NULL,
        until double precision NOT NULL CHECK (until <> 'NaN')
    );
    CREATE INDEX tokenward_leases_until ON tokenward_leases (until);
    CREATE SEQUENCE tokenward_lease_numbers;

    CREATE FUNCTION tokenward_write_1(
        works text[], keys text[], names text[], things bytea[], replays bytea[],
        untils double precision[], graces double precision[], moment double precision
    )
    -- What is not said is the usual: see groups.
    RETURNS TABLE (place integer, said text, number bigint, kept bytea, whose text)
    LANGUAGE plpgsql AS $$
    DECLARE
        work text;
        when_spent double precision;
    BEGIN
        FOR i IN 1 .. cardinality(works) LOOP
            work := works[i]; place := i;
            said := NULL; number := NULL; kept := NULL; whose := NULL;

            IF work = 'rotate' THEN
                -- A spent key keeps no secret: its value and the answer that handed it out go.
                UPDATE tokenward_chains AS link
                    SET spent = moment, successor = names[i], value = NULL, replay = NULL
                    WHERE link.key = keys[i] AND link.spent IS NULL AND link.until > moment
                    RETURNING link.family INTO whose;
                IF FOUND THEN
                    INSERT INTO tokenward_chains AS link (key, family, value, replay, until)
                        VALUES (names[i], whose, things[i], replays[i], untils[i])
                        ON CONFLICT (key) DO UPDATE
                        SET family = excluded.family, value = excluded.value,
                            replay = excluded.replay, until = excluded.until,
                            spent = NULL, successor = NULL
                        WHERE link.until <= moment;
                    IF NOT FOUND THEN
                        RAISE unique_violation USING MESSAGE = 'this key is in use';
                    END IF;
                ELSE
                    SELECT old.family, old.spent, new.replay INTO whose, when_spent, kept
                        FROM tokenward_chains AS old LEFT JOIN tokenward_chains AS new
                        ON new.key = old.successor AND new.spent IS NULL AND new.until > moment
                        WHERE old.key = keys[i] AND old.until > moment;
                    IF NOT FOUND OR when_spent IS NULL THEN
                        said := 'unknown';
                    -- Another's clock may be ahead of ours: no grace is none, whatever time it is.
                    ELSIF kept IS NOT NULL AND graces[i] > 0
                        AND moment < when_spent + graces[i] THEN
                        said := 'again';
                    ELSE
                        -- Whoever rotates a link of this family now is waited for by the first
                        -- DELETE, and the link that came of it is seen by the next.
                        said := 'unknown';
                        LOOP
                            DELETE FROM tokenward_chains AS link WHERE link.family = whose;
                            EXIT WHEN NOT FOUND;
                            said := 'theft';
                        END LOOP;
                    END IF;
                END IF;

            ELSIF work = 'begin' THEN
                INSERT INTO tokenward_chains AS link (key, family, value, until)
                    VALUES (keys[i], names[i], things[i], untils[i])
                    ON CONFLICT (key) DO UPDATE
                    SET family = excluded.family, value = excluded.value, replay = NULL,
                        until = excluded.until, spent = NULL, successor = NULL
                    WHERE link.until <= moment;
                IF NOT FOUND THEN said := 'used'; END IF;

            ELSIF work = 'revoke' THEN
                LOOP
                    DELETE FROM tokenward_chains AS link WHERE link.family = keys[i];
                    EXIT WHEN NOT FOUND;
                END LOOP;

            ELSIF work = 'add' THEN
                INSERT INTO tokenward_shelf AS thing (key, value, until)
                    VALUES (keys[i], things[i], untils[i])
                    ON CONFLICT (key) DO UPDATE
                    SET value = excluded.value, until = excluded.until
                    WHERE thing.until <= moment;
                IF NOT FOUND THEN said := 'there'; END IF;

            ELSIF work = 'put' THEN
                INSERT INTO tokenward_shelf AS thing (key, value, until)
                    VALUES (keys[i], things[i], untils[i])
                    ON CONFLICT (key) DO UPDATE
                    SET value = excluded.value, until = excluded.until;

            ELSIF work = 'take' THEN
                DELETE FROM tokenward_shelf AS thing
                    WHERE thing.key = keys[i] AND thing.until > moment
                    RETURNING thing.value INTO kept;
                IF FOUND THEN said := 'taken'; END IF;

            ELSIF work = 'drop' THEN
                DELETE FROM tokenward_shelf AS thing WHERE thing.key = keys[i];

            ELSIF work = 'hold' THEN
                INSERT INTO tokenward_leases AS lease (name, number, until)
                    VALUES (keys[i], 0, untils[i])
                    ON CONFLICT (name) DO UPDATE SET until = excluded.until
                    WHERE lease.until <= moment;
                IF FOUND THEN
                    -- Drawn now that the lease is ours: a number drawn before might be lower than
                    -- that of somebody who had it in between (fencing).
                    UPDATE tokenward_leases AS lease
                        SET number = nextval('tokenward_lease_numbers')
                        WHERE lease.name = keys[i] RETURNING lease.number INTO number;
                    said := 'held';
                END IF;

            ELSIF work = 'renew' THEN
                UPDATE tokenward_leases AS lease SET until = untils[i]
                    WHERE lease.name = keys[i] AND lease.number = graces[i]
                        AND lease.until > moment;
                IF FOUND THEN said := 'renewed'; END IF;

            ELSIF work = 'release' THEN
                DELETE FROM tokenward_leases AS lease
                    WHERE lease.name = keys[i] AND lease.number = graces[i]
                        AND lease.until > moment;
                IF FOUND THEN said := 'released'; END IF;
            END IF;

            IF said IS NOT NULL THEN RETURN NEXT; END IF;
        END LOOP;
    END $$;
    """,
)
"""What brings the tables from each version to the next."""

WRITE = "SELECT * FROM tokenward_write_1($1, $2, $3, $4, $5, $6, $7, $8)"
# By itself, for the function was there before it: its kind is rare, and no group waits for it.
SWAP = (
    "UPDATE tokenward_shelf SET value = $3, until = $4::float8"
    " WHERE key = $1::text AND value = $2 AND until > $5::float8 RETURNING key"
)
GET = "SELECT key, value FROM tokenward_shelf WHERE key = ANY($1::text[]) AND until > $2::float8"
LOOK = (
    "SELECT key, value FROM tokenward_chains"
    " WHERE key = ANY($1::text[]) AND spent IS NULL AND until > $2::float8"
)
KEYS = (
    "SELECT key FROM tokenward_shelf"
    " WHERE key >= ($1::text[])[1] AND key < ($1::text[])[2] AND until > $2::float8 ORDER BY key"
)
# What somebody else has his hands on is alive, or is being cleared away by him.
PURGES = tuple(
    f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 (our own names)
    f"SELECT ctid FROM {table} WHERE until <= $1::float8 LIMIT 1000 FOR UPDATE SKIP LOCKED))"
    for table in ("tokenward_shelf", "tokenward_chains", "tokenward_leases")
)

_LOCK = 0x746F6B656E77
"""Whoever makes the tables holds this; others wait for him."""

# Not to_regclass, which may remember that there was none before we waited for the lock.
_MADE = (
    "SELECT count(*) FROM pg_catalog.pg_class"
    " WHERE relname = 'tokenward_store' AND pg_catalog.pg_table_is_visible(oid)"
)


async def prepare(connection: "AsyncConnection[Any]") -> None:
    """Bring the tables up to our version. Raises ``WrongStore``."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise WrongStore(f"postgresql: the database is in {encoding}; make one in UTF8")
    if await _version(connection) == len(_VERSIONS):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        version = await _version(connection)
        if version == 0:
            await connection.execute("CREATE TABLE tokenward_store (version integer NOT NULL)")
            await connection.execute("INSERT INTO tokenward_store VALUES (0)")
        for script in _VERSIONS[version:]:
            await connection.execute(script.encode())
        await connection.execute("UPDATE tokenward_store SET version = %s", [len(_VERSIONS)])


async def check(connection: "AsyncConnection[Any]") -> None:
    """Whether these are our tables, and of our version: another database may have come in the
    place of the one that we opened. Raises ``WrongStore``."""
    if await _version(connection) != len(_VERSIONS):
        raise WrongStore("postgresql: this database has no tables of this version of tokenward")


async def _version(connection: "AsyncConnection[Any]") -> int:
    version = await _one(connection, _MADE)
    if version:
        version = await _one(connection, "SELECT version FROM tokenward_store")
    if version > len(_VERSIONS):
        raise WrongStore(
            "postgresql: the tables were written by a newer tokenward (they are of version"
            f" {version}, this one knows {len(_VERSIONS)}): use that one, or another database"
        )
    return version


async def _one(connection: "AsyncConnection[Any]", question: str) -> int:
    row = await (await connection.execute(question.encode())).fetchone()
    return 0 if row is None else int(row[0])
