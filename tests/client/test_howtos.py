"""What the documents show is run as it stands, against real servers on loopback."""

import asyncio
import socket

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.client.standin import Api, Asked, Issuer, Reply, Standin, granted
from tests.docs import ROOT, examples
from tokenward.client import TokenError
from tokenward.jose.keys import SigningKey

TOKENS = "docs/howto/get-tokens-in-python.md"
ITWIN = "docs/howto/call-itwin-as-a-service.md"

ID, SECRET = "service a+b:c%20 d", "s e c/r=et+1"
"""Every character that somebody once forgot to encode."""


@pytest.fixture
def ims():
    with Issuer(ID, SECRET) as ims:
        yield ims


@pytest.fixture
def platform():
    with Itwin() as platform:
        yield platform


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("ITWIN_CLIENT_ID", ID)
    monkeypatch.setenv("ITWIN_CLIENT_SECRET", SECRET)


class Itwin(Api):
    """The iTwin Platform, as far as users/me goes."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()
        self.routes = {"/users/me": self.me}

    def me(self, asked: Asked) -> Reply:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not token.startswith("token-") or token in self.refused:
            return Reply(401, {"error": {"code": "HeaderNotFound", "message": "Access denied."}})
        assert asked.headers["accept"] == "application/vnd.bentley.itwin-platform.v1+json"
        user = {
            "id": "0f2f1b5e",
            "displayName": ID,
            "givenName": "service",
            "surname": "x",
            "email": f"{ID}@apps.imsoidc.bentley.com",
        }
        return Reply(body={"user": user})


def there(ims, platform=None):
    places = {"https://ims.bentley.com": ims.url}
    return places | ({"https://api.bentley.com": platform.url} if platform else {})


def test_the_itwin_recipe_finds_out_who_it_is(ims, platform, environment, capsys):
    examples(ITWIN)["users-me"].run(there(ims, platform))
    assert capsys.readouterr().out == f"{ID} {ID}@apps.imsoidc.bentley.com\n"
    assert ims.paths() == ["/.well-known/openid-configuration", "/connect/token"]
    (asked,) = ims.questions
    assert asked.basic == (ID, SECRET)
    assert asked.form == {"grant_type": ["client_credentials"], "scope": ["itwin-platform"]}


def test_the_itwin_recipe_tries_another_token_once(ims, platform, environment, capsys):
    platform.refused = {"token-1"}
    examples(ITWIN)["users-me"].run(there(ims, platform))
    assert ID in capsys.readouterr().out
    assert platform.tokens == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(
    ("status", "error"), [(401, "invalid_client"), (400, "invalid_scope"), (403, "access_denied")]
)
def test_the_itwin_recipe_says_what_bentley_says(ims, platform, environment, status, error):
    ims.answers = [Reply(status, {"error": error})]
    with pytest.raises(TokenError, match=error):
        examples(ITWIN)["users-me"].run(there(ims, platform))
    assert len(ims.questions) == 1
    assert platform.asked == []


def test_the_itwin_recipe_sends_nothing_with_a_wrong_secret(
    ims, platform, environment, monkeypatch
):
    monkeypatch.setenv("ITWIN_CLIENT_SECRET", "s e c/r=et 1")
    with pytest.raises(TokenError, match="invalid_client"):
        examples(ITWIN)["users-me"].run(there(ims, platform))
    assert platform.asked == []


def test_the_itwin_recipe_gives_a_token_to_tools(ims, environment, capsys):
    examples(ITWIN)["token"].run(there(ims))
    assert capsys.readouterr().out == "Bearer token-1\n"


@pytest.fixture
def nightly(monkeypatch):
    with Issuer("nightly", "the secret") as issuer:
        monkeypatch.setenv("TOKENWARD_ISSUER", issuer.url)
        monkeypatch.setenv("TOKENWARD_CLIENT_ID", "nightly")
        monkeypatch.setenv("TOKENWARD_CLIENT_SECRET", "the secret")
        yield issuer


def test_one_token(nightly, capsys):
    examples(TOKENS)["one-token"].run()
    assert capsys.readouterr().out == "Authorization: Bearer token-1\n"
    assert nightly.questions[0].form["scope"] == ["reports:read"]


def test_one_token_spelled_out(nightly, monkeypatch, capsys):
    monkeypatch.delenv("TOKENWARD_ISSUER")
    monkeypatch.delenv("TOKENWARD_CLIENT_ID")
    monkeypatch.delenv("TOKENWARD_CLIENT_SECRET")
    examples(TOKENS)["one-token-spelled-out"].run({"https://tokens.example.com": nightly.url})
    assert capsys.readouterr().out.startswith("reports:read for ")
    assert nightly.questions[0].form["audience"] == ["https://api.example.com/reports"]


@pytest.mark.parametrize(("name", "requests"), [("every-request", 1), ("every-request-async", 10)])
def test_a_token_with_every_request(nightly, api, capsys, name, requests):
    examples(TOKENS)[name].run({"https://api.example.com": api.url})
    assert capsys.readouterr().out.count('"token": "token-1"') == requests
    assert api.tokens == ["Bearer token-1"] * requests
    assert len(nightly.questions) == 1


def test_a_token_for_somebodys_token(nightly, api, monkeypatch):
    monkeypatch.delenv("TOKENWARD_ISSUER")
    monkeypatch.delenv("TOKENWARD_CLIENT_ID")
    monkeypatch.delenv("TOKENWARD_CLIENT_SECRET")
    names = examples(TOKENS)["exchange"].run(
        {"https://tokens.example.com": nightly.url, "https://api.example.com": api.url}
    )

    async def called_by(subject):
        names["caller_token"].set(subject)
        return await asyncio.to_thread(names["itwins_of_the_caller"])

    async def both():
        return await asyncio.gather(called_by("alice's-token"), called_by("bob's-token"))

    assert len(set(asyncio.run(both()))) == 2
    assert {asked.form["subject_token"][0] for asked in nightly.questions} == {
        "alice's-token",
        "bob's-token",
    }


def test_when_there_is_no_token(nightly, capsys):
    nightly.answers = [
        Reply(400, {"error": "invalid_scope", "error_description": "There is no such scope."})
    ]
    examples(TOKENS)["errors"].run()
    assert capsys.readouterr().out == "invalid_scope\nThere is no such scope.\n400\nFalse\n"


def test_when_there_is_nobody_to_ask(nightly, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("TOKENWARD_ISSUER", f"http://127.0.0.1:{port}")
    examples(TOKENS)["errors"].run()
    assert capsys.readouterr().out == "\n\n0\nTrue\n"


def test_a_key_instead_of_a_secret(nightly, tmp_path, monkeypatch):
    pem = SigningKey.generate("ES256").private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "nightly.key").write_bytes(pem)
    monkeypatch.chdir(tmp_path)
    names = examples(TOKENS)["key"].run({"https://tokens.example.com": nightly.url})
    assert str(names["auth"].token()) == "token-1"
    (asked,) = nightly.questions
    assert asked.form["client_assertion"][0].startswith("eyJ")
    assert "authorization" not in asked.headers


def test_servers_with_habits_of_their_own(nightly):
    """The proxy is a stand-in too: it is asked for a URL in full, which it answers itself."""
    elsewhere = "http://127.0.0.1:1/oauth/token"
    with Standin({elsewhere: Reply(body=granted())}) as proxy:
        names = examples(TOKENS)["habits"].run(
            {
                "https://tokens.example.com/oauth/token": elsewhere,
                "http://proxy.example.com:3128": proxy.url,
            }
        )
        assert str(names["auth"].token()) == "token"
        (asked,) = proxy.asked
    assert (asked.method, asked.path) == ("POST", elsewhere)
    assert asked.form["client_secret"] == ["the secret"]
    assert nightly.asked == []


def test_every_example_of_both_pages_is_run_here():
    here = (ROOT / "tests/client/test_howtos.py").read_text("utf-8")
    for page in TOKENS, ITWIN:
        names = examples(page)
        assert names
        assert [name for name in names if f'"{name}"' not in here] == []


PAGE = """Text.

<!-- run: one -->
```python
x = address
y = 1 / zero
```

```python
not run
```
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_an_example_is_found_by_name_and_run_with_names_given(page):
    (example,) = examples(page).values()
    assert (example.name, example.line, example.language) == ("one", 5, "python")
    found = example.run({"address": "'here'"}, zero=2)
    assert (found["x"], found["y"]) == ("here", 0.5)


def test_a_traceback_points_into_the_document(page):
    with pytest.raises(ZeroDivisionError) as caught:
        examples(page)["one"].run({"address": "1"}, zero=0)
    assert (str(caught.traceback[-1].path), caught.traceback[-1].lineno + 1) == (str(page), 6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PAGE + PAGE, "two examples"),
        ("<!-- run: one -->\n\ntext\n", "without an example"),
        ("<!-- run: One -->\n```python\n```\n", "without an example"),
        ("<!-- run one -->\n```python\n```\n", "without an example"),
        ("<!-- run: one -->\n```python\nunclosed\n", "without an example"),
    ],
)
def test_a_mark_that_is_not_understood_is_not_passed_over(page, text, said):
    page.write_text(text)
    with pytest.raises(AssertionError, match=said):
        examples(page)


def test_an_example_that_lacks_what_is_to_be_replaced_is_not_run(page):
    with pytest.raises(AssertionError, match="nowhere is not in"):
        examples(page)["one"].run({"nowhere": "x"})


def test_only_python_is_run(page):
    page.write_text("<!-- run: sh -->\n```sh\nrm -r /\n```\n")
    with pytest.raises(AssertionError, match="not Python"):
        examples(page)["sh"].run()
