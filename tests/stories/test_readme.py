"""The README: each recipe works when pasted while ``./tokenward dev`` runs."""

import json
import re

import httpx2
import pytest

from tests.dev import command
from tests.docs import ROOT, examples
from tests.pasting import checkout, unmarked
from tests.running import free_port
from tests.world import claims_of

README = "README.md"
RECIPES = examples(README)


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with checkout(tmp_path_factory.mktemp("checkout")) as shell:
        yield shell


def test_every_recipe_is_run_here():
    files = ("tests/stories/test_readme.py", "tests/clients/test_readme.py")
    here = "".join((ROOT / file).read_text("utf-8") for file in files)
    assert len(RECIPES) >= 8
    assert [name for name in RECIPES if f'"{name}"' not in here] == []


def test_whatever_else_it_shows_is_for_setting_up():
    assert [code.split()[0] for code in unmarked(README)] == [
        *("./tokenward", "npm", "python3"),
    ]


def test_the_line_that_comes_first_says_where_everything_is(shell):
    said = shell.paste(RECIPES["source"].code + "env", sourced=False, into="sh")
    assert f"TOKENWARD_ISSUER={shell.dev.url}" in said.splitlines()


def test_every_variable_in_a_recipe_is_one_of_dev_env(shell):
    used = {
        name
        for recipe in RECIPES.values()
        for name in re.findall(r"\$(\w+)|environ\[\"(\w+)\"\]", recipe.code)
        for name in name
        if name and not name.isdigit() and recipe.language == "sh"
    }
    assert used - {"bearer"} <= set(shell.dev.environ)


def test_the_configuration_is_one_without_warnings(tmp_path):
    (tmp_path / "tokenward.toml").write_text(RECIPES["configuration"].code)
    environ = {
        "NIGHTLY_SECRET_HASH": f"sha256:{'0' * 64}",
        "ITWIN_CLIENT_ID": "service-x",
        "ITWIN_CLIENT_SECRET": "y" * 40,
    }
    checked = command("check", "--json", cwd=tmp_path, environ=environ)
    assert (checked.code, checked.json["warnings"]) == (0, [])
    assert list(checked.json["tokens"]) == ["reports", "itwin"]


def test_get_token_gives_a_token_of_the_platform_as_text(shell):
    said = shell.paste(RECIPES["get-token"])
    me = httpx2.get(f"{shell.dev.urls['itwin']}/users/me", headers={"Authorization": said})
    assert me.json()["user"]["displayName"] == "service-practice"


def test_serve_takes_the_place_of_the_mobile_samples_server(shell):
    port = str(free_port())
    environ = {"ITM_TOKEN_SERVER_PORT": port}
    said = shell.paste(RECIPES["itwin-mobile"], replace={"3001": port}, environ=environ)
    ready, user = said.replace("}{", "}\n{").splitlines()
    assert json.loads(ready) == {"status": "ready"}
    assert json.loads(user)["user"]["displayName"] == "service-practice"
    trail = (shell.dev.folder / "mobile" / "audit.jsonl").read_text().splitlines()
    assert json.loads(trail[-1])["rule"] == "everybody of the Auth0 tenant"


def test_an_itwin_service_app_gets_a_token_and_is_somebody(shell):
    said = shell.paste(RECIPES["itwin-service"])
    answer, user = said.replace("}{", "}\n{").splitlines()
    assert json.loads(answer)["scope"] == "itwin-platform"
    assert json.loads(user)["user"]["email"] == "demo@apps.imsoidc.bentley.com"


def test_an_itwin_service_app_in_python(shell):
    said = shell.paste(RECIPES["itwin-service-in-python"])
    assert said == "demo@apps.imsoidc.bentley.com\n"


def test_a_key_is_enough_to_read_reports_and_is_the_same_the_next_time(shell):
    first, again = (shell.paste(RECIPES["textile-identity"]) for _ in range(2))
    public, reports = first.splitlines()
    assert json.loads(reports)["read_by"] == public
    assert again == reports


def test_textiles_example_of_a_server_is_asked_as_ever(shell):
    public, answer = shell.paste(RECIPES["textile-server"]).splitlines()
    said = json.loads(answer)
    assert said["message"] == "Success: new API token"
    assert claims_of(said["token"])["sub"] == public


def test_an_okta_client_gets_its_token(shell):
    answer = json.loads(shell.paste(RECIPES["okta-token"]))
    assert (answer["token_type"], answer["scope"]) == ("Bearer", "such_scope")


def test_an_api_behind_okta_believes_it(shell):
    said = shell.paste(RECIPES["okta-api"], replace={"8001": str(free_port())})
    refused, orders = said.replace("}{", "}\n{").splitlines()
    assert "an access token is required" in refused
    assert json.loads(orders) == {"orders": [4711], "asked_by": "demo"}


def test_a_token_in_python(shell):
    token, reports = shell.paste(RECIPES["python"]).splitlines()
    assert token.count(".") == 2
    assert reports == "{'reports': ['bridges', 'tunnels'], 'read_by': 'demo'}"


def test_a_standard_exchange(shell):
    answer = json.loads(shell.paste(RECIPES["exchange"]))
    assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert answer["scope"] == "itwin-platform"
