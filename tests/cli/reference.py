"""Writes the lists of docs/reference/cli.md from the commands they describe.

    python -m tests.cli.reference        puts them into the page

Each stands between ``<!-- command: … -->`` (or ``variables: dev.env``) and ``<!-- end -->``.
"""

import re
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from tokenward.cli.commands import app
from tokenward.cli.recipes import Running
from tokenward.practice.folder import Kept
from tokenward.practice.process import Places

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

_COMMAND = re.compile(r"(<!-- command: ([\w-]+(?: [\w-]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
_VARIABLES = re.compile(r"(<!-- variables: dev.env -->\n).*?(<!-- end -->)", re.DOTALL)

MEANINGS = {
    "TOKENWARD_ISSUER": "The issuer. This one and the next two are also what the client library "
    "and `tokenward token` look for.",
    "TOKENWARD_CLIENT_ID": "The demo client.",
    "TOKENWARD_CLIENT_SECRET": "Its secret.",
    "DEV_CALLER_TOKEN": "A token of the practice identity provider, for Ann.",
    "DEV_API": "The practice API, which wants a token of ours for `reports:read`.",
    "DEV_API_SECRET": "Its own secret, as the client `reports-api`, which may introspect.",
    "DEV_IMS": 'Our issuer with `profile = "ims"`.',
    "DEV_OKTA": 'Our issuer with `profile = "okta"`.',
    "DEV_HUB": "Our Textile Hub, where the package that one needs is installed.",
    "DEV_HUB_KEY": "The user group key of its application, which is no secret.",
    "DEV_HUB_SECRET": "The secret of that key.",
    "DEV_IDP": "The practice identity provider.",
    "DEV_ITWIN": "The practice iTwin Platform: its own IMS, and `users/me`.",
    "DEV_ITWIN_CLIENT_ID": "What we are to that IMS.",
    "DEV_ITWIN_CLIENT_SECRET": "Our secret there.",
}


def leaves(group: Any = None, prefix: str = "") -> dict[str, Any]:
    """Every command that does something, by all of its name."""
    found: dict[str, Any] = {}
    for name, one in (group or typer.main.get_command(app)).commands.items():
        below = hasattr(one, "commands")
        found |= leaves(one, f"{prefix}{name} ") if below else {prefix + name: one}
    return found


def described(name: str) -> str:
    """What the command is for, and its options, as the help has them."""
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    lines = [_line(part) for part in (command.help or "").split("\n\n")]
    rows = []
    if hasattr(command, "commands"):
        for leaf, one in leaves(command, f"{name} ").items():
            given = [it.metavar for it in one.params if it.param_type_name == "argument"]
            usage = " ".join([leaf, *given])
            rows.append(f"| `{usage}` | {_line(one.help.partition('.')[0])}. |")
        table = "\n".join(["| Command | |", "|---|---|", *rows])
        return "\n\n".join([*lines, table]) + "\n"
    for one in command.params:
        options = ", ".join(f"`{option}`" for option in reversed(one.opts))
        kind = one.type_descriptor.annotation
        choices = list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else []
        if one.param_type_name == "argument":
            options = f"`{one.metavar}`" if one.required else f"`[{one.metavar}]`"
        elif not getattr(one, "is_flag", False):
            options += f" `{one.metavar}`"
        text = re.sub(r"\s+", " ", one.help or "").replace("|", "\\|")
        if choices:
            text = f"{text.removesuffix('.')}: {', '.join(f'`{it}`' for it in choices)}."
        rows.append(f"| {options} | {text} |")
    examples = [f"```console\n{(command.epilog or '').strip()}\n```"]
    return "\n\n".join([*lines, "\n".join(["| Option | |", "|---|---|", *rows]), *examples]) + "\n"


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def variables() -> str:
    """What dev.env sets."""
    running = Running(
        issuer="", folder=Path(), places=Places.at(1, 2, 3), kept=Kept.new(), caller_token=""
    )
    rows = [f"| `{name}` | {MEANINGS[name]} |" for name in running.for_shells()]
    return "\n".join(["| Variable | |", "|---|---|", *rows]) + "\n"


def written(page: str) -> str:
    """The page as it should be."""
    page = _COMMAND.sub(lambda it: it[1] + described(it[2]) + it[3], page)
    return _VARIABLES.sub(lambda it: it[1] + variables() + it[2], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
