"""``[textile]``: what is wrong with it is said at the start, and what is a risk is warned of."""

from pathlib import Path

import pytest

from tests.docs import examples
from tests.hub import KEY, SAMPLE_SECRET, SECRET
from tests.server.textile.test_talk import ASKED, SIGNED
from tests.server.textile.there import APPLICATION, FILE, PEOPLE, USERAUTH, VISITORS
from tokenward.server import doors
from tokenward.server.settings import ConfigError, load

FRIEND = "https://idp.example.com"


@pytest.fixture
def read(tmp_path):
    def read(textile=USERAUTH, *, people="people", more="", change=("", ""), secret=SECRET):
        path = tmp_path / "tokenward.toml"
        text = FILE.format(
            lane="",
            audit="stdout",
            key=KEY,
            friend=FRIEND,
            textile=textile,
            people=people,
            app=APPLICATION,
            allow=PEOPLE,
            more=VISITORS + more,
        )
        path.write_text(text.replace(*change) if change[0] else text)
        return load(path, {"SIGNIN": secret})

    return read


def warned(settings):
    return {(it.place, it.message) for it in settings.warnings if "textile" in it.place}


def test_a_good_one_is_read_and_says_nothing(read):
    settings = read()
    assert settings.textile.table.people == "people"
    assert settings.textile.visitor is None
    assert not warned(settings)
    assert not settings.textile.table.key_in_url
    assert settings.textile.table.challenge == 60.0


def test_without_the_table_there_is_none(read):
    settings = read(change=('[textile]\npeople = "people"\ntoken  = "threads"\n' + USERAUTH, ""))
    assert settings.textile is None


@pytest.mark.parametrize(
    ("textile", "people", "place", "said"),
    [
        (USERAUTH, "peple", "textile.people", "there is no such caller"),
        (USERAUTH, "site", "textile.people", "is a client: people have keys"),
        (USERAUTH, "staff", "textile.people", "are not known by keys"),
        ('userauth = "sigin"', "people", "textile.userauth", "there is no such token"),
        ('userauth = "threads"', "people", "textile.userauth", "is no signature"),
        ('visitors = "site"', "people", "textile.visitors", "may have nothing without userauth"),
        (f'{USERAUTH}\nvisitors = "staff"', "people", "textile.visitors", "is no client"),
        (f'{USERAUTH}\nvisitors = "sites"', "people", "textile.visitors", "there is no such"),
        (f'{USERAUTH}\nvisitors = "able"', "people", "textile.visitors", "can show who it is"),
        ("waiting = 0", "people", "textile.waiting", "must be between 1 and 10000"),
        ("waiting = 10001", "people", "textile.waiting", "must be between 1 and 10000"),
        ('challenge = "10m"', "people", "textile.challenge", "5m"),
        ("key_in_url = 1", "people", "textile.key_in_url", "must be true or false"),
        ("keys_in_url = true", "people", "textile.keys_in_url", "key_in_url"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, textile, people, place, said):
    able = f'[callers.able]\nproof = "client_secret"\nsecrets = ["sha256:{"0" * 64}"]\n[textile]'
    with pytest.raises(ConfigError) as refused:
        read(textile, people=people, change=("[textile]", able))
    (problem,) = refused.value.problems
    assert place in problem.place
    assert said in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [('token  = "theads"', "there is no such token"), ('token  = "signin"', "is a signature")],
)
def test_the_token_is_one(read, wrong, said):
    with pytest.raises(ConfigError) as refused:
        read(change=('people = "people"\ntoken  = "threads"', f'people = "people"\n{wrong}'))
    (problem,) = refused.value.problems
    assert problem.place.endswith("textile.token")
    assert said in problem.message


def test_the_sample_of_the_documentation_is_said_to_be_no_secret_and_not_repeated(read):
    with pytest.raises(ConfigError) as refused:
        read(secret=SAMPLE_SECRET)
    (problem,) = refused.value.problems
    assert problem.place.endswith("tokens.signin.secret")
    assert "the digits 2 to 7" in problem.message
    assert SAMPLE_SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("textile", "change", "place", "said"),
    [
        (f"{USERAUTH}\nkey_in_url = true", ("", ""), "textile.key_in_url", "private keys"),
        (f'{USERAUTH}\nvisitors = "site"', ("", ""), "textile.visitors", "anybody"),
        (USERAUTH, ('subject = "raw"', ""), "textile.people", "people|<key>"),
    ],
)
def test_what_is_a_risk_is_warned_of(read, textile, change, place, said):
    ((where, message),) = warned(read(textile, change=change))
    assert where.endswith(place)
    assert said in message


def test_an_application_with_a_secret_that_lets_in_whoever_has_a_key_is_warned_of(read):
    change = ("development = true", 'default = "threads"\nsecret = "${SIGNIN}"')
    ((where, message),) = warned(read(people="app", change=change))
    assert where.endswith("textile.people")
    assert "without a signature of its secret" in message


def test_a_path_that_an_issuer_wants_too_is_refused(read):
    settings = read(
        change=('url     = "https://tokens.example.com"', 'url = "https://t.example/x"')
    )
    assert doors.paths(settings)["/api/token"] == "the table textile"
    assert "/ws/login" in doors.paths(settings)
    assert "/ws/login" not in doors.paths(read(""))


def test_the_configuration_of_the_howto_can_be_used(tmp_path):
    page = examples("docs/howto/be-a-textile-hub.md")
    path = tmp_path / "tokenward.toml"
    path.write_text(page["routes"].text())
    settings = load(path, {"NOTES_SECRET": SECRET})
    assert not settings.warnings
    assert len(settings.textile.table.paths) == 7
    visited = page["routes"].text().replace("[textile]\n", '[textile]\nvisitors = "visitors"\n')
    path.write_text(visited + page["visitors"].text())
    settings = load(path, {"NOTES_SECRET": SECRET})
    (warning,) = settings.warnings
    assert "anybody" in warning.message
    assert settings.textile.visiting == {"https://notes.example.com"}


def test_every_error_of_a_talk_is_in_the_reference():
    page = Path("docs/reference/errors.md").read_text()
    for _, why in [*ASKED, *SIGNED]:
        assert f"`{why}`" in page


def test_people_of_an_application_come_with_the_key_that_is_in_the_file_or_that_signs(read):
    assert read(people="app", change=("", "")).textile.key == KEY
    none = (APPLICATION, "")
    assert read(people="app", change=none).textile.key == KEY
    with pytest.raises(ConfigError) as refused:
        read("", people="app", change=none)
    (problem,) = refused.value.problems
    assert problem.message == "have no key in the file"


def test_a_token_whose_own_challenge_has_to_be_signed_is_not_for_these_routes(read):
    passed = """
        upstream  = "textile_hub"
        url       = "http://127.0.0.1:3007"
        signature = "callers"
        """
    with pytest.raises(ConfigError) as refused:
        read(change=('audience = "threads"\nlifetime = "1h"', passed))
    (problem,) = refused.value.problems
    assert problem.place.endswith("textile.token")
    assert "a signed challenge of its own" in problem.message


def test_people_of_an_application_who_may_have_both_say_which_they_mean_at_a_hub(read):
    ((where, message),) = warned(read(people="app"))
    assert where.endswith("textile.people")
    assert "a hub cannot tell which" in message
    assert not warned(
        read(people="app", change=("development", 'default = "threads"\ndevelopment'))
    )
    assert not warned(read("", people="app"))
