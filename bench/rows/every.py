"""All rows, in the order in which they are told."""

from fnmatch import fnmatch

from bench.rows import (
    Row,
    client_credentials,
    exchange,
    get_token,
    hello,
    introspection,
    jwks,
    memory,
    proofs,
    rotation,
    startup,
    steady,
    verify,
    workers,
)

EVERY: list[Row] = [
    *hello.ROWS,
    *client_credentials.ROWS,
    *exchange.ROWS,
    *get_token.ROWS,
    *introspection.ROWS,
    *jwks.ROWS,
    *proofs.ROWS,
    *rotation.ROWS,
    *verify.ROWS,
    *steady.ROWS,
    *memory.ROWS,
    *startup.ROWS,
    *workers.ROWS,
]


def like(pattern: str) -> list[Row]:
    """The rows whose name fits, as file names do; a plain word anywhere in the name is enough."""
    whole = pattern if any(it in pattern for it in "*?[") else f"*{pattern}*"
    return [row for row in EVERY if fnmatch(row.name.lower(), whole.lower())]
