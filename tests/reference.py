"""Writes the tables of docs/reference/errors.md and endpoints.md from what they describe.

python -m tests.reference        puts them into the pages
"""

import re
from pathlib import Path

from tokenward.oauth import errors
from tokenward.server import plugins
from tokenward.server.doors import GET_TOKEN, HEALTH, LIVE, METRICS, READY
from tokenward.server.endpoints.metadata import OAUTH, OPENID
from tokenward.server.profiles import (
    AUTHORIZATION,
    CHALLENGE_PATH,
    INTROSPECTION,
    JWKS,
    REVOCATION,
    TOKEN,
)

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
ERRORS, ENDPOINTS = REFERENCE / "errors.md", REFERENCE / "endpoints.md"

ROLES = {
    TOKEN: ("Token endpoint", "POST"),
    JWKS: ("Keys", "GET"),
    INTROSPECTION: ("Introspection", "POST"),
    REVOCATION: ("Revocation", "POST"),
    AUTHORIZATION: ("Authorization endpoint", "GET POST"),
}
WHOLE = {
    GET_TOKEN: ("getToken", "GET"),
    HEALTH: ("Health", "GET"),
    LIVE: ("Health", "GET"),
    READY: ("Health", "GET"),
    METRICS: ("Metrics", "GET"),
}


def every_error() -> list[type[errors.OAuthError]]:
    """All classes, each after the one it is a kind of."""
    found: list[type[errors.OAuthError]] = []

    def below(kind: type[errors.OAuthError]) -> None:
        for one in kind.__subclasses__():
            if one.__module__ == errors.__name__:
                found.append(one)
                below(one)

    below(errors.OAuthError)
    return found


def error_table() -> str:
    """Every error a caller may hear of, with what it says unless it has something better to say."""
    rows = [f"| {it.status} | `{it.error}` | {it.__doc__} |" for it in every_error()]
    return "\n".join(["| Status | `error` | Says, if nothing more exact |", "|---|---|---|", *rows])


def path_table() -> str:
    """Where everything is, by profile."""
    profiles = {name: plugins.find("profile", name) for name in plugins.BUILT_IN["profile"]}
    head = " | ".join(f"`{name}`" for name in profiles)
    lines = [f"| Under an issuer | | {head} |", "|---|---|" + "---|" * len(profiles)]
    for role, (title, methods) in ROLES.items():
        paths = " | ".join(
            f"`{profile.paths[role]}`" if role in profile.paths else ""
            for profile in profiles.values()
        )
        lines.append(f"| [{title}](#{anchor(title)}) | {methods} | {paths} |")
    asking = " | ".join(f"`{CHALLENGE_PATH}`" for _ in profiles)
    lines.append(f"| [Challenge](#challenge) | POST | {asking} |")
    both = " | ".join(f"`{OPENID}`, `{OAUTH}`" for _ in profiles)
    lines.append(f"| [Metadata](#metadata) | GET | {both} |")
    lines += ["", "| Of the whole server | | |", "|---|---|---|"]
    lines += [
        f"| [{title}](#{anchor(title)}) | {methods} | `{path}` |"
        for path, (title, methods) in WHOLE.items()
    ]
    return "\n".join(lines)


def anchor(title: str) -> str:
    """Where a heading can be linked to."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def filled(page: str, name: str, table: str) -> str:
    """The page with this table in its place."""
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return block.sub(lambda it: f"{it[1]}{table}\n{it[2]}", page)


def written() -> dict[Path, str]:
    """The pages as they should be."""
    return {
        ERRORS: filled(ERRORS.read_text("utf-8"), "errors", error_table()),
        ENDPOINTS: filled(ENDPOINTS.read_text("utf-8"), "paths", path_table()),
    }


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, "utf-8")
