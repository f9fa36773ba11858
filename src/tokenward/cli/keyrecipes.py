"""What dev mode shows of keys: a key in a file, one in a program, and Textile's own client."""

from shlex import quote

from tokenward.cli.recipes import Running
from tokenward.practice.config import HUB_KEY
from tokenward.server.pages import Recipe

TEXTILE = """\
// npm install @textile/hub, then: node token.js
const {{ Client, PrivateKey }} = require("@textile/hub");

async function main() {{
  const client = await Client.withKeyInfo({{ key: "{key}", secret: "{secret}" }}, "{hub}");
  console.log(await client.getToken(PrivateKey.fromRandom()));
}}
main();"""


def by_key(running: Running) -> list[Recipe]:
    """For the page of the key."""
    us, issuer, api = running.program, running.issuer, running.urls["api"]
    token = f"{us} identity token ann.key --issuer {quote(issuer)} --audience reports"
    recipes = [
        Recipe(
            title="At the command line",
            why="The key is in a file for you alone; the command asks, signs and exchanges.",
            code=f"[ -e ann.key ] || {us} identity new ann.key\n"
            f'curl -s -H "Authorization: Bearer $({token})" {api}',
        ),
        Recipe(
            title="In Python",
            why="KeyIdentity reads what the command has made, and what Textile's clients have.",
            code="from pathlib import Path\n"
            "from tokenward.client import KeyIdentity\n\n"
            'ann = KeyIdentity.from_string(Path("ann.key").read_text())\n'
            f'print(ann.get_token("{issuer}", audience="reports"))',
            file=True,
        ),
    ]
    if "hub" not in running.urls:
        recipes.append(
            Recipe(
                title="With Textile's own client",
                why="There would be a practice Hub here too, but it needs one package more. Then "
                "start again.",
                code="pip install 'tokenward[hub]'",
            )
        )
        return recipes
    code = TEXTILE.format(key=HUB_KEY, secret=running.kept.hub_secret, hub=running.urls["hub"])
    recipes.append(
        Recipe(
            title="With Textile's own client",
            why="It knows nothing of us: one of the servers here is a Textile Hub, and this is an "
            "application of its, with a user group key and the secret of that.",
            code=code,
            file=True,
        )
    )
    return recipes
