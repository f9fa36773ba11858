"""The README's recipe for Textile's own client: pasted while ``./tokenward dev`` runs."""

import json
import os

import pytest

from tests.clients.nodejs import FOLDER, PACKAGES
from tests.docs import ROOT, examples
from tests.pasting import checkout
from tests.world import claims_of

RECIPE = examples("README.md")["textile-hub"]


@pytest.fixture(scope="module")
def shell(node, tmp_path_factory):
    """Where npm has installed what the recipe says, at the version that the lock file pins."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "notes").mkdir()
    (folder / "notes" / "node_modules").symlink_to(PACKAGES)
    with checkout(folder) as shell:
        yield shell


def paste(shell, node, **variables):
    path = f"{node.binary.parent}:{os.environ['PATH']}"
    setting = "".join(f"export {name}={value}\n" for name, value in variables.items())
    return shell.paste(setting + RECIPE.code, environ={"PATH": path})


def test_textiles_own_client_gets_a_token_of_the_practice_hub(shell, node):
    claims = claims_of(paste(shell, node).strip())
    assert list(claims) == ["iat", "iss", "sub", "exp"]
    assert claims["sub"].startswith("bbaarei")
    again = claims_of(paste(shell, node).strip())
    assert (again["iss"], again["sub"] != claims["sub"]) == (claims["iss"], True)


def test_with_another_secret_it_gets_none(shell, node):
    other = "b" + "a" * 39
    with pytest.raises(AssertionError, match="Bad API key signature"):
        paste(shell, node, DEV_HUB_SECRET=other)


def test_what_is_to_be_installed_is_what_is_tried_here():
    assert (
        "npm install --silent --prefix notes @textile/hub@6\n" in (ROOT / "README.md").read_text()
    )
    pinned = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    assert pinned["@textile/hub"].startswith("6.")
