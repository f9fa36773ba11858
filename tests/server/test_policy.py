"""Rules: the first whose conditions hold decides, and what none allows is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenward.oauth.errors import (
    InvalidScope,
    InvalidTarget,
    ScopeRequired,
    UnauthorizedClient,
    UnknownScope,
)
from tokenward.oauth.messages import CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server import policy as policies
from tokenward.server.model import NOBODY, Caller, Client, Grant
from tokenward.server.policy import Policy, Rule, Target, matches

S = Scope.parse
NIGHTLY = Client(id="nightly", grant_types=frozenset({CLIENT_CREDENTIALS}))
APP = Client(id="app", grant_types=frozenset({TOKEN_EXCHANGE}))

REPORTS = Target(
    name="reports",
    audience="https://api.example.com/reports",
    issuer="main",
    scopes=S("reports:read reports:write"),
    default=S("reports:read"),
)
ORDERS = Target(name="orders", audience="api://orders", issuer="orders", scopes=S("such_scope"))
ITWIN = Target(name="itwin", scopes=S("itwin-platform"))
STATIC = Target(name="static")
TARGETS = {target.name: target for target in (REPORTS, ORDERS, ITWIN, STATIC)}


def rule(**fields):
    made = {"name": "a rule", "caller": "nightly", "token": "reports", "scope": S("reports:read")}
    return Rule(**made | fields)


def policy(*rules):
    return Policy(rules=rules, targets=TARGETS)


def nightly(**fields):
    grant = Grant(caller=NIGHTLY.as_caller(), client=NIGHTLY, grant_type=CLIENT_CREDENTIALS)
    return replace(grant, **fields)


def ann(client=NOBODY, default="", **claims):
    caller = Caller(name="mobile", subject="mobile|ann", claims=claims, default=default)
    return Grant(caller=caller, client=client, grant_type=TOKEN_EXCHANGE)


def test_nothing_is_allowed_without_a_rule():
    with pytest.raises(InvalidTarget):
        policy().decide(nightly())


def test_a_rule_gives_the_token_its_scope_its_lifetime_and_its_name():
    agreed = policy(rule(lifetime=300.0)).decide(nightly())

    assert (agreed.token, str(agreed.scope), agreed.lifetime, agreed.rule) == (
        "reports",
        "reports:read",
        300.0,
        "a rule",
    )


@pytest.mark.parametrize(
    ("asked", "given_"),
    [("", "reports:read"), ("reports:write", "reports:write"), ("reports:read", "reports:read")],
)
def test_none_asked_means_the_default_as_far_as_the_rule_goes(asked, given_):
    wide = rule(scope=S("reports:read reports:write"))
    assert str(policy(wide).decide(nightly(scope=S(asked))).scope) == given_


def test_where_the_default_is_not_allowed_the_rule_says_what_is_given():
    assert str(policy(rule(scope=S("reports:write"))).decide(nightly()).scope) == "reports:write"


def test_the_first_rule_that_covers_all_of_the_scope_decides():
    first = rule(name="first", scope=S("reports:read"))
    second = rule(name="second", scope=S("reports:read reports:write"))

    assert policy(first, second).decide(nightly(scope=S("reports:read"))).rule == "first"
    assert policy(first, second).decide(nightly(scope=S("reports:write"))).rule == "second"


def test_rules_do_not_add_up():
    read, write = rule(scope=S("reports:read")), rule(scope=S("reports:write"))
    with pytest.raises(InvalidScope):
        policy(read, write).decide(nightly(scope=S("reports:read reports:write")))


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        ("reports:write", InvalidScope),
        ("reports:delete", UnknownScope),
        ("REPORTS:READ", UnknownScope),
    ],
)
def test_a_scope_too_wide_or_unknown_is_refused(scope, error):
    with pytest.raises(error) as refused:
        policy(rule()).decide(nightly(scope=S(scope)))
    assert scope in refused.value.detail
    assert scope not in refused.value.description


def test_what_the_client_registered_for_bounds_it_besides():
    bounded = replace(NIGHTLY, scope=S("reports:read"))
    wide = policy(rule(scope=S("reports:read reports:write")))

    assert str(wide.decide(nightly(client=bounded)).scope) == "reports:read"
    with pytest.raises(InvalidScope):
        wide.decide(nightly(client=bounded, scope=S("reports:write")))
    with pytest.raises(ScopeRequired):
        wide.decide(nightly(client=replace(NIGHTLY, scope=NOTHING)))


def test_scopes_are_ignored_and_not_answered_where_there_is_no_vocabulary():
    agreed = policy(rule(token="static", scope=NOTHING)).decide(nightly(scope=S("whatever")))
    assert agreed.scope == NOTHING


@pytest.mark.parametrize("target", ["reports", "https://api.example.com/reports"])
def test_a_token_is_asked_for_by_its_name_or_its_audience(target):
    assert policy(rule()).decide(nightly(targets=(target,))).token == "reports"


def test_several_targets_must_all_lead_to_one_token():
    both = ("reports", "https://api.example.com/reports")
    assert policy(rule()).decide(nightly(targets=both)).token == "reports"
    with pytest.raises(InvalidTarget):
        policy(rule(), rule(token="itwin")).decide(nightly(targets=("reports", "itwin")))


@pytest.mark.parametrize("target", ["Reports", "report", "reports/", "orders", "api://orders"])
def test_a_target_that_no_rule_gives_is_refused(target):
    with pytest.raises(InvalidTarget):
        policy(rule()).decide(nightly(targets=(target,)))


def test_without_a_target_it_is_the_only_token_or_the_callers_default():
    itwin = rule(name="itwin", caller="mobile", token="itwin", scope=S("itwin-platform"))
    reports = rule(name="reports", caller="mobile")

    assert policy(itwin).decide(ann()).token == "itwin"
    assert policy(itwin, reports).decide(ann(default="itwin")).token == "itwin"
    with pytest.raises(InvalidTarget) as refused:
        policy(itwin, reports).decide(ann())
    assert "itwin" in refused.value.detail
    assert "itwin" not in refused.value.description
    with pytest.raises(InvalidTarget):
        policy(itwin, reports).decide(ann(default="orders"))


def test_an_issuer_gives_its_own_tokens_and_fetched_ones_and_no_others():
    rules = policy(rule(), rule(token="itwin", scope=S("itwin-platform")))

    assert rules.decide(nightly(issuer="main", targets=("reports",))).token == "reports"
    assert rules.decide(nightly(issuer="orders", targets=("itwin",))).token == "itwin"
    with pytest.raises(InvalidTarget):
        rules.decide(nightly(issuer="orders", targets=("reports",)))
    with pytest.raises(InvalidTarget):
        rules.decide(nightly(issuer="one that mints nothing", targets=("reports",)))
    assert rules.decide(nightly(issuer="one that mints nothing")).token == "itwin"


def test_star_is_every_registered_client_and_nobodys_people():
    everybody = policy(rule(caller="*"))

    assert everybody.decide(nightly()).rule == "a rule"
    with pytest.raises(InvalidTarget):
        everybody.decide(ann())
    with pytest.raises(InvalidTarget):
        everybody.decide(ann(client=APP))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"caller": "mobil"}, InvalidTarget),
        ({"client": "other"}, InvalidTarget),
        ({"grant_types": frozenset({JWT_BEARER})}, UnauthorizedClient),
        ({"actor": "worker"}, InvalidTarget),
        ({"actor": "*"}, InvalidTarget),
        ({"claims": {"role": "admin"}}, InvalidTarget),
        ({"token": "itwin", "scope": S("itwin-platform")}, InvalidTarget),
    ],
)
def test_every_condition_can_say_no_and_the_operator_hears_which(fields, error):
    good = rule(caller="mobile")
    grant = replace(ann(client=APP, role="user"), targets=("reports",))
    assert policy(good).decide(grant).rule == "a rule"

    with pytest.raises(error) as refused:
        policy(replace(good, **fields)).decide(grant)
    assert "a rule" in refused.value.detail


def test_every_condition_can_say_yes():
    demanding = rule(
        caller="mobile",
        client="app",
        actor="worker",
        grant_types=frozenset({TOKEN_EXCHANGE}),
        claims={"role": "admin"},
    )
    worker = Caller(name="worker", subject="worker|1")
    grant = replace(ann(client=APP, role="admin"), actor=worker)
    assert policy(demanding).decide(grant).rule == "a rule"


def test_the_operator_hears_of_the_rule_that_came_nearest():
    far = rule(name="far", caller="other")
    near = rule(name="near", caller="mobile", claims={"email": "*@example.com", "hd": "x"})
    with pytest.raises(InvalidTarget) as refused:
        policy(far, near).decide(ann(email="ann@example.com"))
    assert refused.value.detail == "nearest rule 'near' wants other claims: hd"


def test_explaining_says_what_every_rule_says():
    first, second = rule(name="first", caller="other"), rule(name="second", caller="mobile")
    verdicts = policy(first, second).explain(ann())
    assert [(verdict.rule.name, verdict.holds) for verdict in verdicts] == [
        ("first", False),
        ("second", True),
    ]


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ("acme/app", "acme/app"),
        (True, True),
        (4711, 4711),
        (1.5, 1.5),
        ("models:read", ["models:read", "models:write"]),
        (["a", "b"], "b"),
        (["a", "b"], ["x", "a"]),
        ("*@example.com", "ann@example.com"),
        ("repo:acme/*:ref:*", "repo:acme/app:ref:main"),
        ("repo:acme/**", "repo:acme/app:ref:refs/heads/main"),
        ("*", ""),
        ("*", "anything"),
        ("**", "any:thing/at all\nreally"),
        ("a*c*e", "abcde"),
    ],
)
def test_claims_that_match(wanted, actual):
    assert matches(wanted, actual)


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ("acme/app", "acme/app2"),
        ("acme/app", "acme/app\n"),
        ("acme/app", "ACME/app"),
        ("acme/app", None),
        ("true", True),
        (True, "true"),
        (True, 1),
        (1, True),
        (1, 1.0),
        ("4711", 4711),
        (4711, "4711"),
        ("a", ["b"]),
        ("a", []),
        ("a", [["a"]]),
        ("a", {"a": "a"}),
        (["a", "b"], "c"),
        ([], "a"),
        ("*@example.com", "ann@example.com.evil"),
        ("*@example.com", "ann:bob@example.com"),
        ("*@example.com", "ann@example.com\n"),
        ("repo:acme/*", "repo:acme/app/evil"),
        ("repo:acme/*", "repo:acme/app:ref"),
        ("repo:acme/*", "repo:acmeX/app"),
        ("a.c", "abc"),
        ("[ab]", "a"),
        ("a|b", "b"),
        ("a*c", "ac\n"),
    ],
)
def test_claims_that_do_not(wanted, actual):
    assert not matches(wanted, actual)


@pytest.mark.parametrize(
    ("claims", "holds"),
    [
        ({"realm_access": {"roles": ["admin"]}}, True),
        ({"realm_access.roles": ["admin"]}, True),
        ({"realm_access.roles": ["user"], "realm_access": {"roles": ["admin"]}}, False),
        ({"realm_access": {"roles": ["user"]}}, False),
        ({"realm_access": "roles"}, False),
        ({"realm_access": {}}, False),
        ({}, False),
    ],
)
def test_a_dotted_path_reaches_into_objects_unless_a_claim_has_that_very_name(claims, holds):
    rules = policy(rule(caller="mobile", claims={"realm_access.roles": "admin"}))
    if holds:
        assert rules.decide(ann(**claims)).rule == "a rule"
    else:
        with pytest.raises(InvalidTarget):
            rules.decide(ann(**claims))


@pytest.mark.parametrize(
    ("claims", "holds"),
    [
        ({"kubernetes.io": {"namespace": {"name": "shop"}}}, True),
        ({"kubernetes.io": {"namespace.name": "shop"}}, True),
        ({"kubernetes": {"io.namespace": {"name": "shop"}}}, True),
        ({"kubernetes": {"io": "x"}, "kubernetes.io": {"namespace": {"name": "shop"}}}, True),
        ({"kubernetes.io": {"namespace": {"name": "play"}}}, False),
        ({"kubernetes.io": {"namespace": "shop"}}, False),
        ({"kubernetes.io": "namespace.name"}, False),
        ({"kubernetes.io/namespace/name": "shop"}, False),
    ],
)
def test_names_on_the_way_into_objects_may_have_dots_themselves(claims, holds):
    rules = policy(rule(caller="mobile", claims={"kubernetes.io.namespace.name": "shop"}))
    if holds:
        assert rules.decide(ann(**claims)).rule == "a rule"
    else:
        with pytest.raises(InvalidTarget):
            rules.decide(ann(**claims))


@given(st.text(), st.text())
def test_a_pattern_without_stars_is_equality(wanted, actual):
    wanted = wanted.replace("*", "")
    assert matches(wanted, actual) == (wanted == actual)


@given(
    st.lists(st.sampled_from(["reports:read", "reports:write", "x"]), max_size=3),
    st.lists(
        st.lists(st.sampled_from(["reports:read", "reports:write"]), min_size=1).map(Scope.of),
        max_size=3,
    ),
)
def test_nobody_ever_gets_more_than_one_rule_allows(asked, allowed):
    rules = [rule(name=str(number), scope=scope) for number, scope in enumerate(allowed)]
    try:
        agreed = policy(*rules).decide(nightly(scope=Scope.of(asked)))
    except (InvalidTarget, InvalidScope):
        return
    assert agreed.scope <= allowed[int(agreed.rule)]
    assert Scope.of(asked) <= agreed.scope


def test_what_was_agreed_to_is_remembered_for_that_very_grant():
    rules, grant = policy(rule()), nightly()
    agreed = rules.decide(grant)

    assert rules.decide(grant) is agreed
    assert agreed.grant is grant
    equal = replace(grant)
    assert rules.decide(equal) == agreed
    assert rules.decide(equal).grant is equal


def test_another_policy_decides_for_itself():
    grant = nightly()
    assert policy(rule()).decide(grant).rule == "a rule"
    with pytest.raises(InvalidTarget):
        policy().decide(grant)


def test_refusals_are_not_remembered():
    rules = policy(rule())
    for _ in range(2):
        with pytest.raises(InvalidScope):
            rules.decide(nightly(scope=S("reports:write")))
    assert rules._agreed == {}


def test_a_grant_that_a_handle_stood_for_is_not_remembered():
    rules, grant = policy(rule()), nightly(handle="a secret that is used once")
    assert rules.decide(grant) == rules.decide(grant)
    assert rules._agreed == {}


def test_memory_of_decisions_is_bounded(monkeypatch):
    monkeypatch.setattr(policies, "REMEMBER", 8)
    rules = policy(rule())
    for _ in range(100):
        grant = nightly()
        assert rules.decide(grant).grant is grant
        assert len(rules._agreed) <= 8
