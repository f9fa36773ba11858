"""A connection is of one app, one person and one token: every other three are another place."""

import itertools

import pytest

from tokenward.server.connected import app_of, place
from tokenward.server.model import NOBODY, NOBODY_ELSE, Caller, Client, Grant

ANN = Caller(name="mobile", subject="mobile|ann", claims={"azp": "photos"})
CONFIDENTIAL = Client(id="photos-backend", grant_types=frozenset())
PUBLIC = Client(id="photos", grant_types=frozenset(), public=True)


def a_grant(*, caller=ANN, client=CONFIDENTIAL, actor=NOBODY_ELSE):
    return Grant(caller=caller, client=client, grant_type="exchange", actor=actor)


def ann(**claims):
    return Caller(name="mobile", subject="mobile|ann", claims=claims)


OTHERS = {
    "the same": (a_grant(), "drive"),
    "another token": (a_grant(), "mail"),
    "another person": (a_grant(caller=Caller(name="mobile", subject="mobile|bob")), "drive"),
    "another client": (a_grant(client=Client(id="other", grant_types=frozenset())), "drive"),
    "somebody acting": (a_grant(actor=Caller(name="bot", subject="bot")), "drive"),
    "a public client": (a_grant(client=PUBLIC), "drive"),
    "a public client that says it is the other": (
        a_grant(client=Client(id="photos-backend", grant_types=frozenset(), public=True)),
        "drive",
    ),
    "a public client with a token made for another app": (
        a_grant(client=PUBLIC, caller=ann(azp="evil")),
        "drive",
    ),
    "nobody": (a_grant(client=NOBODY), "drive"),
    "nobody, with a token made for another app": (
        a_grant(client=NOBODY, caller=ann(azp="evil")),
        "drive",
    ),
    "nobody, with a token that does not say": (a_grant(client=NOBODY, caller=ann()), "drive"),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(OTHERS, 2)))
def test_what_differs_in_anything_is_kept_elsewhere(one, other):
    assert place(*OTHERS[one]) != place(*OTHERS[other])


def test_a_client_that_proved_itself_is_the_same_whatever_its_people_show():
    shown = a_grant(caller=ann(azp="another front")), a_grant(caller=ann())
    assert {place(one, "drive") for one in shown} == {place(a_grant(), "drive")}


@pytest.mark.parametrize("claim", ["azp", "client_id", "cid", "appid"])
def test_the_app_that_a_token_was_made_for_is_called_in_several_ways(claim):
    found = app_of(a_grant(client=NOBODY, caller=ann(**{claim: "photos"})))
    assert found == ("public", "", "mobile", "photos", "")


@pytest.mark.parametrize("value", [None, "", 7, ["photos"], {"id": "photos"}])
def test_what_is_no_name_of_an_app_is_none(value):
    assert app_of(a_grant(client=NOBODY, caller=ann(azp=value)))[3] == ""


def test_nobody_reads_from_a_place_whose_it_is():
    assert len(place(a_grant(), "drive")) == 43
    assert "ann" not in place(a_grant(), "drive")


def test_names_that_run_into_one_another_are_told_apart():
    ab = Caller(name="m", subject="ab")
    abc = Caller(name="m", subject="a")
    assert place(a_grant(caller=ab), "c") != place(a_grant(caller=abc), "bc")
