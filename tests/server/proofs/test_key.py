"""Keys that may come, as the configuration says it, and what cannot be meant."""

import pytest

from tokenward.jose.identity import PrivateKey
from tokenward.server.config import ConfigError
from tokenward.server.proofs import Trusting
from tokenward.server.proofs.key import REMEMBER, Key
from tokenward.server.settings import load

ANN, BOB = PrivateKey.generate(), PrivateKey.generate("p256")
FILE = """
store = "sqlite:t.db"
issuer = "https://tokens.example.com"
[tokens.reports]
audience = "https://api.example.com/reports"
[[allow]]
caller = "friends"
token = "reports"
"""


def settings(tmp_path, callers, file=FILE):
    config = tmp_path / "tokenward.toml"
    config.write_text(file + callers)
    return load(config, {})


def problems(tmp_path, callers, file=FILE):
    with pytest.raises(ConfigError) as wrong:
        settings(tmp_path, callers, file)
    return [(it.place.rpartition(" ")[2], it.message) for it in wrong.value.problems]


def friends(*lines):
    return "\n".join(["[callers.friends]", 'proof = "key"', *lines, ""])


def holders(taken=frozenset(), **settings):
    trusting = Trusting(name="friends", default="reports", taken=taken)
    return Key(**settings).trusted(trusting)


def test_keys_are_read_in_any_notation_and_are_one_key(tmp_path):
    upper = "B" + ANN.public.text[1:].upper()
    read = settings(tmp_path, friends(f'keys = ["{ANN.public}", "{upper}", "{BOB.public}"]'))
    assert read.subjects["friends"].proof.keys == {ANN.public, BOB.public}
    assert settings(tmp_path, friends(f'keys = "{ANN.public}"')).subjects["friends"].proof.keys


def test_a_key_may_be_a_jwk_in_a_table(tmp_path):
    jwk = '{ kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }'
    [key] = settings(tmp_path, friends(f"keys = [{jwk}]")).subjects["friends"].proof.keys
    assert key.kind == "ed25519"


MISTAKES = {
    "no keys at all": ([], "callers.friends.keys", "without them nobody can come"),
    "an empty list": (["keys = []"], "callers.friends.keys", "without them nobody can come"),
    "keys, and anybody": (
        [f'keys = ["{ANN.public}"]', "anybody = true"],
        "callers.friends.anybody",
        "keys would mean nothing",
    ),
    "what is no key": (['keys = ["bbaareih"]'], "callers.friends.keys[0]", "is not a "),
    "one of several": (
        [f'keys = ["{ANN.public}", "x"]'],
        "callers.friends.keys[1]",
        "is not a public key in any notation we know",
    ),
    "a private key": (
        [f'keys = ["{ANN.to_string()}"]'],
        "callers.friends.keys[0]",
        "is a private key, where a public one belongs: keep it to yourself",
    ),
    "a number": (["keys = [1]"], "callers.friends.keys[0]", "must be a public key"),
    "an odd JWK": (['keys = [{ kty = "oct", k = "AA" }]'], "callers.friends.keys[0]", "is a JWK"),
    "no types": (
        ["anybody = true", "types = []"],
        "callers.friends.types",
        "at least one is needed",
    ),
    "unknown types": (
        ["anybody = true", 'types = ["ed448"]'],
        "callers.friends.types",
        "ed448: not one of ed25519, p256, rsa, secp256k1",
    ),
    "a key of another type": (
        [f'keys = ["{BOB.public}"]', 'types = ["ed25519"]'],
        "callers.friends.types",
        "has not p256, which some of the keys are",
    ),
    "another subject": (
        ["anybody = true", 'subject = "key"'],
        "callers.friends.subject",
        "must be one of",
    ),
}


@pytest.mark.parametrize("why", MISTAKES)
def test_what_cannot_be_meant_is_said_with_its_place(tmp_path, why):
    lines, place, message = MISTAKES[why]
    [(where, said)] = problems(tmp_path, friends(*lines))
    assert where.startswith(place.partition("[")[0])
    assert message in said
    assert ANN.to_string()[1:40] not in said


def test_a_key_belongs_to_one_caller(tmp_path):
    other = friends(f'keys = ["{ANN.public}"]').replace("friends", "others")
    said = problems(tmp_path, friends(f'keys = ["{ANN.public}"]') + other)
    assert said == [("callers.others.keys", "one of them belongs to callers.friends already")]


def test_anybody_belongs_to_one_caller_for_each_type(tmp_path):
    other = friends("anybody = true", 'types = ["p256", "rsa"]').replace("friends", "others")
    said = problems(tmp_path, friends("anybody = true", 'types = ["ed25519", "rsa"]') + other)
    assert said == [
        ("callers.others.types", "callers.friends lets anybody come with a key of rsa already")
    ]


def test_there_must_be_an_issuer_to_ask(tmp_path):
    file = 'store = "sqlite:t.db"\n[tokens.itwin]\nupstream = "client_credentials"\n'
    file += 'issuer = "https://ims.bentley.com"\nclient_id = "x"\nclient_secret = "y"\n'
    file += '[[allow]]\ncaller = "friends"\ntoken = "itwin"\n'
    said = problems(tmp_path, friends(f'keys = ["{ANN.public}"]'), file)
    assert ("callers.friends.proof", "needs an issuer of ours, which asks whose key it is") in said


def test_two_callers_cannot_have_raw_subjects(tmp_path):
    other = friends(f'keys = ["{BOB.public}"]', 'subject = "raw"').replace("friends", "others")
    said = problems(tmp_path, friends(f'keys = ["{ANN.public}"]', 'subject = "raw"') + other)
    assert [place for place, _ in said] == ["callers.others.subject"]


@pytest.mark.parametrize(
    ("limits", "warned"), [("", True), ('[limits]\naddress = "10/s"\n', False)]
)
def test_who_lets_anybody_come_is_told_to_limit_them(tmp_path, limits, warned):
    read = settings(tmp_path, friends("anybody = true") + limits)
    places = [it.place.rpartition(" ")[2] for it in read.warnings]
    assert ("callers.friends.anybody" in places) is warned


def test_a_holder_is_the_same_caller_each_time():
    known = holders(keys=frozenset({ANN.public}))
    caller = known.owner(ANN.public)
    assert known.owner(ANN.public) is caller
    assert (caller.name, caller.default) == ("friends", "reports")
    assert caller.subject == f"friends|{ANN.public}"
    assert dict(caller.claims) == {"key": str(ANN.public), "key_type": "ed25519"}
    assert known.owner(BOB.public) is None


def test_a_type_that_may_not_come_does_not():
    anybody = holders(anybody=True, types=frozenset({"ed25519"}))
    assert anybody.owner(ANN.public).subject == f"friends|{ANN.public}"
    assert anybody.owner(BOB.public) is None


def test_a_raw_subject_is_never_another_callers():
    assert holders(anybody=True, subject="raw").owner(ANN.public).subject == str(ANN.public)
    taken = frozenset({str(ANN.public)})
    assert holders(taken, anybody=True, subject="raw").owner(ANN.public) is None


def test_strangers_do_not_fill_the_memory():
    anybody = holders(anybody=True)
    anybody._known.update(dict.fromkeys(range(REMEMBER), object()))
    anybody.owner(ANN.public)
    assert len(anybody._known) == 1
