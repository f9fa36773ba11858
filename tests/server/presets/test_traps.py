"""Rules that would be for everybody whom a platform vouches for: refused, with the reason."""

import pytest

from tests.server.presets.test_presets import document, loaded
from tokenward.server.config import ConfigError

GITHUB, GITLAB, KUBERNETES = "github_actions", "gitlab_ci", "kubernetes"
STS = "https://sts.amazonaws.com/"

TRAPS = [
    (GITHUB, {}, "must say whose repository: GitHub vouches for everybody's workflows"),
    (GITHUB, {"ref": "refs/heads/main"}, "and ref is a name that every repository can use"),
    (GITHUB, {"environment": "production"}, "environment is a name that every repository can use"),
    (GITHUB, {"workflow": "deploy"}, "workflow is a name that every repository can use"),
    (GITHUB, {"actor": "ann"}, "actor says who started it, not whose repository"),
    (GITHUB, {"repository_visibility": "private"}, "must say whose repository"),
    (
        GITHUB,
        {"job_workflow_ref": "acme/shared/.github/workflows/deploy.yml@refs/heads/main"},
        "everybody may call a workflow that they can read",
    ),
    (GITHUB, {"workflow_ref": "acme/app/.github/workflows/d.yml@refs/heads/main"}, "everybody may"),
    (GITHUB, {"repository": "*/app"}, "repository as it stands here is anybody's"),
    (GITHUB, {"repository": "**/app"}, "repository as it stands here is anybody's"),
    (GITHUB, {"repository": "acme*/app"}, "repository as it stands here is anybody's"),
    (GITHUB, {"repository": "acme**"}, "repository as it stands here is anybody's"),
    (GITHUB, {"repository": ["acme/app", "*/app"]}, "repository as it stands here is anybody's"),
    (GITHUB, {"repository_owner": "acme*"}, "repository_owner as it stands here is anybody's"),
    (GITHUB, {"repository_owner_id": "*"}, "repository_owner_id as it stands here is anybody's"),
    (GITHUB, {"sub": "repo:*"}, "sub as it stands here is anybody's"),
    (GITHUB, {"sub": "repo:acme*/app:**"}, "sub as it stands here is anybody's"),
    (GITHUB, {"sub": "repo:acme**"}, "sub as it stands here is anybody's"),
    (GITHUB, {"sub": "**:environment:production"}, "sub as it stands here is anybody's"),
    (GITHUB, {"sub": "repo:acme@**"}, "sub as it stands here is anybody's"),
    (GITHUB, {"sub": "environment:production"}, "sub as it stands here is anybody's"),
    (GITHUB, {"repository_owner_id": 65}, "is a text in its tokens, so this would never hold"),
    (GITHUB, {"repository": "a/b", "run_attempt": 1}, "is a text in its tokens"),
    (GITHUB, {"repository": "a/b", "event_name": "pull_request_target"}, "anybody's pull request"),
    (
        GITHUB,
        {"repository": "a/b", "event_name": ["push", "pull_request_target"]},
        "anybody's pull request",
    ),
    (
        GITHUB,
        {"repository": "a/b", "job_workflow_ref": "a/w/.github/workflows/d.yml@**"},
        "a workflow as a pull request has it",
    ),
    (GITHUB, {"repository": "a/b", "job_workflow_ref": "a/w/**"}, "as a pull request has it"),
    (GITLAB, {}, "must say whose project: GitLab vouches for everybody's jobs"),
    (GITLAB, {"ref": "main", "ref_protected": "true"}, "ref is a name that every project can use"),
    (GITLAB, {"environment": "production"}, "environment is a name that every project can use"),
    (GITLAB, {"job_project_path": "acme/app"}, "job_project_path is also that of jobs for a merge"),
    (GITLAB, {"job_project_id": "20"}, "from anybody's fork"),
    (GITLAB, {"groups_direct": "acme"}, "groups_direct says who started the job"),
    (GITLAB, {"user_email": "ann@example.com"}, "user_email says who started the job"),
    (GITLAB, {"ci_config_ref_uri": "gitlab.com/acme/**"}, "every project may include it"),
    (GITLAB, {"project_path": "*/app"}, "project_path as it stands here is anybody's"),
    (GITLAB, {"namespace_path": "acme*"}, "namespace_path as it stands here is anybody's"),
    (GITLAB, {"namespace_path": "**/backend"}, "namespace_path as it stands here is anybody's"),
    (GITLAB, {"sub": "project_path:**:ref:main"}, "sub as it stands here is anybody's"),
    (GITLAB, {"project_id": 20}, "is a text in its tokens, so this would never hold"),
    (GITLAB, {"project_id": "20", "ref_protected": True}, 'would never hold\n    "true"'),
    (KUBERNETES, {}, "must say which namespace: the cluster vouches for every pod in it"),
    (KUBERNETES, {"kubernetes.io.serviceaccount.name": "orders"}, "that every namespace can use"),
    (KUBERNETES, {"kubernetes.io.pod.name": "orders-*"}, "that every namespace can use"),
    (KUBERNETES, {"kubernetes.io.node.name": "node-1"}, "everybody's pods run there"),
    (KUBERNETES, {"kubernetes.io.namespace": "*"}, "as it stands here is anybody's"),
    (KUBERNETES, {"kubernetes.io.namespace": "team-*"}, "as it stands here is anybody's"),
    (KUBERNETES, {"sub": "system:serviceaccount:*:orders"}, "as it stands here is anybody's"),
    (KUBERNETES, {"sub": "system:serviceaccount:**"}, "as it stands here is anybody's"),
    (KUBERNETES, {"sub": "system:serviceaccount:shop**"}, "as it stands here is anybody's"),
    (KUBERNETES, {"sub": "orders"}, "as it stands here is anybody's"),
    ("spiffe", {}, "must say which workload: the trust domain vouches for all"),
    ("spiffe", {"sub": "spiffe://example.org/**"}, "sub as it stands here is anybody's"),
    ("spiffe", {"sub": "spiffe://example.org/*"}, "sub as it stands here is anybody's"),
    ("spiffe", {"sub": "spiffe://example.org/n*"}, "sub as it stands here is anybody's"),
    ("spiffe", {"sub": "spiffe://*/ns/shop/sa/orders"}, "sub as it stands here is anybody's"),
    ("spiffe", {"sub": "spiffe://example.com/ns/shop"}, "sub as it stands here is anybody's"),
    ("spiffe", {"sub": "spiffe://exampleXorg/ns/shop"}, "sub as it stands here is anybody's"),
    ("google", {}, "must say which service account: Google vouches for everybody's"),
    ("google", {"email_verified": True}, "email_verified is so of all of them"),
    ("google", {"hd": "acme.com"}, "hd is of people"),
    ("google", {"email": "orders@*.iam.gserviceaccount.com"}, "as it stands here is anybody's"),
    ("google", {"email": "*@developer.gserviceaccount.com"}, "as it stands here is anybody's"),
    ("google", {"email": "*@gcp-sa-x.iam.gserviceaccount.com"}, "as it stands here is anybody's"),
    ("google", {"email": "*"}, "email as it stands here is anybody's"),
    ("google", {"email": "ann@acme.com"}, "email as it stands here is anybody's"),
    ("google", {"azp": "1-x.apps.googleusercontent.com"}, "azp as it stands here is anybody's"),
    ("google", {"google.compute_engine.instance_name": "a"}, "that every project can use"),
    ("google", {"google.compute_engine.zone": "europe-west3-a"}, "everybody's machines run there"),
    ("google", {"google.compute_engine.project_id": "*"}, "as it stands here is anybody's"),
    ("google", {"sub": 107517467455664443765}, "is a text in its tokens"),
    ("azure", {}, "must say which identity: the tenant vouches for every application in it"),
    ("azure", {"tid": "11111111-2222-3333-4444-555555555555"}, "the same of the whole tenant"),
    ("azure", {"idtyp": "app"}, "idtyp is the same of all applications"),
    ("azure", {"appidacr": "2"}, "says how it has shown who it is"),
    ("azure", {"oid": "*"}, "oid as it stands here is anybody's"),
    ("azure", {"xms_mirid": "/subscriptions/*/resourcegroups/shop/**"}, "is anybody's"),
    ("aws", {}, "must say which role: the account vouches for all that it lets ask"),
    ("aws", {f"{STS}.aws_account": "123456789012"}, "is the same of the whole account"),
    ("aws", {f"{STS}.org_id": "o-abc1234567"}, "is the same of the whole account"),
    ("aws", {f"{STS}.request_tags.team": "shop"}, "is what whoever asks has written there"),
    ("aws", {f"{STS}.aws_account": 123456789012}, "is a text in its tokens"),
    ("aws", {"sub": "arn:aws:iam::*:role/orders"}, "sub as it stands here is anybody's"),
    ("aws", {"sub": "arn:aws:iam::210987654321:role/orders"}, "as it stands here is anybody's"),
    ("aws", {"sub": "arn:aws:iam::123456789012:role/**"}, "sub as it stands here is anybody's"),
    ("aws", {"sub": "arn:aws:iam::123456789012:**"}, "sub as it stands here is anybody's"),
]


def mistakes(found):
    with pytest.raises(ConfigError) as caught:
        loaded(found)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("name", "claims", "why"), TRAPS)
def test_a_rule_for_everybody_is_refused_with_the_reason(name, claims, why):
    found = document(name)
    found["allow"][0]["claims"] = claims
    (problem,) = mistakes(found)
    assert "allow[1].claims" in problem.split(": ")[0]
    assert why in problem


def test_every_platform_has_its_traps():
    assert {name for name, claims, _ in TRAPS if not claims} == {
        *(GITHUB, GITLAB, KUBERNETES),
        *("spiffe", "google", "azure", "aws"),
    }


def test_who_writes_githubs_issuer_instead_of_the_preset_falls_into_no_trap_either():
    found = document(GITHUB)
    del found["callers"]["ci"]["preset"]
    found["callers"]["ci"]["issuer"] = "https://token.actions.githubusercontent.com"
    assert loaded(found).warnings == ()
    found["allow"][0]["claims"] = {"environment": "production"}
    (problem,) = mistakes(found)
    assert "must say whose repository" in problem


GOOD = [
    (GITHUB, {"repository_owner": "acme"}),
    (GITHUB, {"repository": "acme/*"}),
    (GITHUB, {"repository": "acme/**", "job_workflow_ref": "acme/w/d.yml@refs/heads/*"}),
    (GITHUB, {"sub": "repo:acme/app:environment:production"}),
    (GITHUB, {"sub": "repo:acme@65/app@74:**"}),
    (GITHUB, {"sub": "repo:acme@*/*:**"}),
    (GITHUB, {"sub": "repository_owner:acme"}),
    (GITHUB, {"enterprise_id": "5", "environment": "production"}),
    (GITLAB, {"namespace_id": "72"}),
    (GITLAB, {"project_path": "acme/*", "ref_protected": "true"}),
    (GITLAB, {"sub": "project_path:acme/app:ref_type:tag:ref:**"}),
    (KUBERNETES, {"sub": "system:serviceaccount:shop:*"}),
    (KUBERNETES, {"kubernetes.io.serviceaccount.uid": "14ee3fa4"}),
    ("google", {"sub": ["107517467455664443765", "2"]}),
    ("azure", {"xms_mirid": "/subscriptions/9/resourcegroups/shop/**"}),
    ("aws", {"sub": "arn:aws-cn:iam::123456789012:role/deploy-*"}),
]


@pytest.mark.parametrize(("name", "claims"), GOOD)
def test_a_rule_that_says_whose_is_used(name, claims):
    found = document(name)
    found["allow"][0]["claims"] = claims
    assert loaded(found).warnings == ()


MISTAKES = [
    ("google", {"preset": "googel"}, "preset", 'did you mean "google"?'),
    ("google", {"preset": 3}, "preset", "must be a name, not a number"),
    ("google", {"preset": ""}, "preset", "there is no such preset"),
    ("google", {"preset": "tests.docs:Example"}, "preset", "is no preset: one has issuer and"),
    ("google", {"issuer": "https://x.example.com"}, "issuer", "is what the preset knows by itself"),
    ("azure", {"issuer": "https://x.example.com"}, "issuer", "is what the preset knows by itself"),
    ("aws", {"algorithms": ["RS256"]}, "algorithms", "is what the preset knows by itself"),
    (GITHUB, {"typ": "jwt"}, "typ", "is what the preset knows by itself"),
    (GITHUB, {"isuer": "https://x.example.com"}, "isuer", 'did you mean "issuer"?'),
    (GITHUB, {"tenant": "x"}, "tenant", "is not a key of this table"),
    (GITHUB, {"audience": ""}, "audience", "is empty"),
    (GITHUB, {"audience": ...}, "audience", "is missing"),
    (GITLAB, {"issuer": "gitlab.com", "keys": ...}, "issuer", "must start with https://"),
    (KUBERNETES, {"api_server": "http://x", "keys": ...}, "jwks_uri", "must be https"),
    ("spiffe", {"trust_domain": ...}, "trust_domain", "is missing"),
    ("spiffe", {"issuer": ...}, "issuer", "is missing"),
    ("spiffe", {"trust_domain": "spiffe://example.org"}, "trust_domain", "without spiffe://"),
    ("spiffe", {"trust_domain": "Example.org"}, "trust_domain", "a name such as example.org"),
    ("azure", {"tenant": "common"}, "tenant", "must be the id of one tenant"),
    ("azure", {"tenant": "organizations"}, "tenant", "must be the id of one tenant"),
    ("azure", {"tenant": "ACME0000-2222-3333-4444-555555555555"}, "tenant", "in lower case"),
    ("azure", {"tenent": "x", "tenant": ...}, "tenent", 'did you mean "tenant"?'),
    ("azure", {"version": "3.0"}, "version", 'must be one of "1.0", "2.0"'),
    ("azure", {"version": 2}, "version", "not a number"),
    ("aws", {"account": 123456789012}, "account", "must be a string"),
    ("aws", {"account": "1234"}, "account", "must be 12 digits"),
    ("aws", {"issuer": ""}, "issuer", "is empty"),
]


@pytest.mark.parametrize(("name", "changes", "key", "message"), MISTAKES)
def test_a_mistake_in_the_settings_of_a_preset_is_told_once(name, changes, key, message):
    found = document(name)
    ((caller, table),) = found["callers"].items()
    found["callers"][caller] = {
        key: value for key, value in (table | changes).items() if value is not ...
    }
    if "tenent" in changes:  # taken as meant, so that no other mistake is told
        found["callers"][caller]["tenent"] = table["tenant"]
    (problem,) = mistakes(found)
    assert problem.startswith(f"tokenward.toml callers.{caller}.{key}: ")
    assert message in problem
