"""What the page about getting tokens without a secret shows, run as it stands."""

import re
from functools import partial

import pytest

from tests.client.platforms import GitHub
from tests.docs import ROOT, examples
from tokenward.client import TokenCache
from tokenward.client.ambient import Here
from tokenward.client.ambient.finding import PLACES
from tokenward.client.ambient.kubernetes import PROJECTED

PAGE = "docs/howto/get-tokens-without-a-secret.md"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path, issuer):
    monkeypatch.setattr("tokenward.client.auth.SHARED", TokenCache())
    monkeypatch.setattr("tokenward.client.ambient.auth.Here", partial(Here, root=tmp_path / "root"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TOKENWARD_ISSUER", issuer.url)
    for place in PLACES:
        for name in place.variables:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def github(monkeypatch):
    with GitHub() as github:
        for name, value in github.environ().items():
            monkeypatch.setenv(name, value)
        yield github


def test_token_for(github, issuer, capsys):
    examples(PAGE)["token-for"].run()
    assert capsys.readouterr().out == "Authorization: Bearer token-1\n"
    assert issuer.questions[0].form["audience"] == ["itwin"]
    assert issuer.questions[0].form["scope"] == ["itwin-platform"]


@pytest.mark.parametrize("name", ["requires-token", "ambient-auth"])
def test_a_token_where_it_is_needed(github, api, capsys, name):
    examples(PAGE)[name].run({"https://api.example.com": api.url})
    assert '"token": "token-1"' in capsys.readouterr().out
    assert api.asked[0].path == "/users/me"


def test_errors(capsys):
    examples(PAGE)["errors"].run()
    said = capsys.readouterr().out.splitlines()
    page = (ROOT / PAGE).read_text("utf-8")
    shown = page.partition("```text\n")[2].partition("```")[0].splitlines()
    assert len(said) == 1 + len(PLACES)
    for line in shown:
        beginning = re.split("…|https://tokens", line)[0].rstrip("`")
        assert any(it.startswith(beginning) for it in said), line


def test_every_variable_and_file_that_tells_where_we_are_is_on_the_page():
    page = (ROOT / PAGE).read_text("utf-8")
    for name in ("TOKENWARD_IDENTITY_AUDIENCE", "TOKENWARD_CACHE", "XDG_CACHE_HOME", PROJECTED):
        assert name in page
    named = {name for place in PLACES for name in place.variables}
    told = {name for name in named if name in page or name.startswith("AWS_CONTAINER")}
    # What Google's, Azure's and Amazon's own libraries read, too, and nobody sets by hand.
    assert named - told == {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL_STS",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    }


def test_every_example_of_the_page_is_run_here():
    here = (ROOT / "tests/client/test_without_a_secret.py").read_text("utf-8")
    assert [name for name in examples(PAGE) if f'"{name}"' not in here] == []
