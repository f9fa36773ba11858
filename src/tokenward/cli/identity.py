"""``tokenward identity``: a private key instead of a password, and tokens for whoever has it."""

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenward.cli.options import Audience, Command, Commands, GoodFor, Header, Json
from tokenward.cli.saying import USAGE, fail, from_stdin, note, say, say_json

if TYPE_CHECKING:
    from tokenward.client import KeyIdentity
    from tokenward.jose.identity import PublicKey
    from tokenward.oauth.messages import AccessToken

EXAMPLES = """
tokenward identity new ann.key
tokenward identity show ann.key
tokenward identity token ann.key --issuer https://tokens.example.com --audience reports
"""

NEW_EXAMPLES = """
tokenward identity new ann.key                    # prints the public key: that is for the server
tokenward identity new build.key --type p256
tokenward identity new ann.key --json
"""

SHOW_EXAMPLES = """
tokenward identity show ann.key                   # the public half of a private key
tokenward identity show ~/.ssh/id_ed25519.pub     # the name of any public key
echo did:key:z6Mk... | tokenward identity show -
"""

TOKEN_EXAMPLES = """
tokenward identity token ann.key --issuer https://tokens.example.com --audience reports
tokenward identity token ann.key --header | curl -H @- https://api.example.com/reports
"""

ADVICE = {
    "invalid_grant": "Is this public key among those of the server's [callers.NAME] with "
    'proof = "key"? tokenward identity show prints it.',
    "invalid_target": "Is there such a token, and may this key have it? On a tokenward server, "
    "the audit trail says which rule came nearest.",
    "invalid_scope": "Is that scope one of the token's, and may this key have it?",
    "invalid_client": "Is that the right client, with the right secret?",
}

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

app = typer.Typer(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

KeyFile = Annotated[
    str, typer.Argument(help="Where the private key is; '-' for standard input.", metavar="FILE")
]


@app.callback()
def _together() -> None:
    """Be somebody by a private key, which never leaves this machine, instead of by a password."""


def new(
    file: Annotated[Path, typer.Argument(help="Where to put the private key.", metavar="FILE")],
    type_: Annotated[
        str,
        typer.Option("--type", metavar="TYPE", help="ed25519, p256, secp256k1 or rsa."),
    ] = "ed25519",
    json: Json = False,
) -> None:
    """Make a key, put it into a file of yours alone, and print its public half.

    The file must not exist yet: nobody can get a key back that was written over. Whoever has the
    file is you, so keep a copy where nobody else can read it. The public key is for the server:
    it belongs into keys of a [callers.NAME] with proof = "key".
    """
    from tokenward.client import KeyIdentity  # noqa: PLC0415

    try:
        identity = KeyIdentity.generate(type_)
    except ValueError as exc:
        fail(
            f"--type: {exc}",
            "There is: ed25519, p256, secp256k1, rsa",
            code=USAGE,
            in_json=json,
        )
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as written:
            written.write(identity.to_string() + "\n")
            written.flush()
            os.fsync(written.fileno())
    except FileExistsError:
        fail(f"{file} exists already, and may be a key", "Choose another name.", in_json=json)
    except OSError as exc:
        fail(f"{file} cannot be written: {exc.strerror}", in_json=json)
    _say_public(identity.public_key, json=json)
    if not json:
        note(f"\nThe private key is in {file}, readable for you alone. Keep a copy of it safe.")


def show(
    file: Annotated[
        str,
        typer.Argument(help="A private or a public key; '-' for standard input.", metavar="FILE"),
    ],
    json: Json = False,
) -> None:
    """Print the public key of a file, as servers write it, whatever it is written as there.

    The file may be a private key (a libp2p string or PEM) or a public one (a libp2p string,
    did:key, a JWK, a line of OpenSSH, or PEM).
    """
    from tokenward.client import KeyIdentity  # noqa: PLC0415
    from tokenward.jose.identity import PublicKey  # noqa: PLC0415

    text = _read(file, json=json)
    try:
        public = PublicKey.from_string(text)
    except ValueError as exc:
        try:
            public = KeyIdentity.from_string(text).public_key
        except ValueError:
            fail(f"{_named(file)} is {exc}", in_json=json)
    _say_public(public, json=json)


def token(
    file: KeyFile,
    issuer: Annotated[
        str,
        typer.Option(metavar="URL", help="Whose token. TOKENWARD_ISSUER if not said."),
    ] = "",
    audience: Audience = None,
    scope: GoodFor = "",
    client_id: Annotated[
        str,
        typer.Option(metavar="ID", help="The client that asks, where the server wants one."),
    ] = "",
    client_secret_file: Annotated[
        str, typer.Option(metavar="FILE", help="Where that client's secret is, if it has one.")
    ] = "",
    header: Header = False,
    json: Json = False,
) -> None:
    """Get a token for a key: sign what the server asks, and print the token.

    The private key stays here; what is signed is good for this server and this one time.
    """
    issuer = issuer or os.environ.get("TOKENWARD_ISSUER", "")
    if not issuer:
        fail("no issuer: --issuer URL, or TOKENWARD_ISSUER", code=USAGE, in_json=json)
    if file == client_secret_file == "-":
        fail("standard input cannot be both the key and the secret", code=USAGE, in_json=json)
    identity = _identity(file, json=json)
    secret = _read(client_secret_file, json=json) if client_secret_file else ""
    settings: dict[str, Any] = {
        "scope": scope,
        "audience": tuple(audience or ()),
        "client_id": client_id,
        "client_secret": secret,
    }
    got = _ask(identity, issuer, settings, json=json)
    if json:
        said = {"access_token": got.value, "token_type": got.token_type, "scope": str(got.scope)}
        say_json(said | {"expires_in": got.expires_in(time.time())})
    else:
        say(f"Authorization: Bearer {got.value}" if header else got.value)


def _ask(
    identity: "KeyIdentity", issuer: str, settings: dict[str, Any], *, json: bool
) -> "AccessToken":
    from tokenward.client import TokenError  # noqa: PLC0415
    from tokenward.oauth.errors import OAuthError  # noqa: PLC0415

    try:
        return identity.get_token(issuer, **settings)
    except TokenError as exc:
        fail(f"no token: {exc}", ADVICE.get(exc.error, ""), in_json=json)
    except OAuthError as exc:
        fail(f"--scope: {exc.description}", code=USAGE, in_json=json)
    except ValueError as exc:
        fail(str(exc), "tokenward identity token --help has examples.", code=USAGE, in_json=json)


def _identity(file: str, *, json: bool) -> "KeyIdentity":
    from tokenward.client import KeyIdentity  # noqa: PLC0415

    text = _read(file, json=json)
    try:
        identity = KeyIdentity.from_string(text)
    except ValueError as exc:
        fail(
            f"{_named(file)} is {exc}",
            "tokenward identity new FILE makes one.",
            code=USAGE,
            in_json=json,
        )
    if file != "-" and Path(file).stat().st_mode & _OTHERS:
        note(f"{file} can be read by others on this machine: chmod 600 {file}")
    return identity


def _read(file: str, *, json: bool) -> str:
    """What is in a file, without the line break at its end."""
    if file == "-":
        return from_stdin("The key").strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not text"
        fail(f"{file} cannot be read: {why}", code=USAGE, in_json=json)


def _named(file: str) -> str:
    return "standard input" if file == "-" else file


def _say_public(public: "PublicKey", *, json: bool) -> None:
    if json:
        say_json({"ok": True, "public_key": public.text, "type": public.kind})
    else:
        say(public.text)


for _command, _brief, _examples in (
    (new, "Make a key.", NEW_EXAMPLES),
    (show, "Print the public key of a file.", SHOW_EXAMPLES),
    (token, "Get a token for a key.", TOKEN_EXAMPLES),
):
    app.command(cls=Command, epilog=_examples, short_help=_brief)(_command)
