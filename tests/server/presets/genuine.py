"""What tokens of each platform say, as its documentation shows them, and what only looks like it.

A near miss is the genuine claims with some changed (``...``: left out), and a part of what the
operator reads about it.
"""

from dataclasses import dataclass
from typing import Any

GONE = ...
TENANT = "11111111-2222-3333-4444-555555555555"
IDENTITY = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"
STS = "https://sts.amazonaws.com/"
UNLIKE = "wants other claims: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One preset, and the example of the page that is made for these claims."""

    typ: str
    claims: dict[str, Any]
    misses: tuple[tuple[dict[str, Any], str], ...]
    algorithm: str = "RS256"
    example: str = ""


def account(namespace="shop", name="orders", **more):
    told = {
        "namespace": namespace,
        "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
        "pod": {"name": "orders-69cbfb9798-jv9gn", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
        "serviceaccount": {"name": name, "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
    }
    return {"kubernetes.io": {key: it for key, it in (told | more).items() if it is not ...}}


def sts(**more):
    told = {
        "aws_account": "123456789012",
        "source_region": "eu-central-1",
        "org_id": "o-abc1234567",
        "principal_tags": {"team": "shop"},
        "request_tags": {"job-id": "job-2024-001"},
    }
    return {STS: {key: it for key, it in (told | more).items() if it is not ...}}


GITHUB = {
    "iss": "https://token.actions.githubusercontent.com",
    "aud": "https://tokens.example.com",
    "sub": "repo:acme/app:ref:refs/heads/main",
    "jti": "example-id",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "sha": "example-sha",
    "repository": "acme/app",
    "repository_id": "74",
    "repository_owner": "acme",
    "repository_owner_id": "65",
    "repository_visibility": "private",
    "actor": "octocat",
    "actor_id": "12",
    "run_id": "30433642",
    "run_number": "10",
    "run_attempt": "2",
    "runner_environment": "github-hosted",
    "workflow": "deploy",
    "workflow_ref": "acme/app/.github/workflows/deploy.yml@refs/heads/main",
    "job_workflow_ref": "acme/app/.github/workflows/deploy.yml@refs/heads/main",
    "head_ref": "",
    "base_ref": "",
    "event_name": "push",
}

GITLAB = {
    "iss": "https://gitlab.example.com",
    "aud": "https://tokens.example.com",
    "sub": "project_path:acme/app:ref_type:branch:ref:main",
    "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
    "namespace_id": "72",
    "namespace_path": "acme",
    "project_id": "20",
    "project_path": "acme/app",
    "project_visibility": "public",
    "user_id": "1",
    "user_login": "sample-user",
    "user_email": "sample-user@example.com",
    "pipeline_id": "574",
    "pipeline_source": "push",
    "job_id": "302",
    "ref": "main",
    "ref_type": "branch",
    "ref_path": "refs/heads/main",
    "ref_protected": "true",
    "groups_direct": ["acme/backend"],
    "runner_id": 1,
    "runner_environment": "self-hosted",
    "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
    "ci_config_ref_uri": "gitlab.example.com/acme/app//.gitlab-ci.yml@refs/heads/main",
}

GOOGLE = {
    "iss": "https://accounts.google.com",
    "aud": "https://tokens.example.com",
    "sub": "107517467455664443765",
    "azp": "107517467455664443765",
    "email": "orders@acme-shop.iam.gserviceaccount.com",
    "email_verified": True,
    "google": {
        "compute_engine": {
            "instance_id": "152986662232938449",
            "instance_name": "orders-1",
            "project_id": "acme-shop",
            "project_number": 739419398126,
            "zone": "europe-west3-a",
        }
    },
}

AZURE = {
    "iss": f"https://sts.windows.net/{TENANT}/",
    "aud": "api://tokens.example.com",
    "sub": IDENTITY,
    "oid": IDENTITY,
    "tid": TENANT,
    "appid": "cccccccc-1111-2222-3333-dddddddddddd",
    "appidacr": "2",
    "idp": f"https://sts.windows.net/{TENANT}/",
    "idtyp": "app",
    "uti": "AbCdEf",
    "ver": "1.0",
    "xms_mirid": "/subscriptions/9/resourcegroups/shop/providers/Microsoft.ManagedIdentity/"
    "userAssignedIdentities/orders",
}

PLATFORMS = {
    "github_actions": Platform(
        typ="JWT",
        claims=GITHUB,
        misses=(
            ({"repository_owner_id": "66"}, UNLIKE + "repository_owner_id"),
            ({"repository_owner_id": 65}, "repository_owner_id: missing"),
            ({"repository_owner_id": GONE}, "repository_owner_id: missing"),
            ({"repository": "acme/app2"}, UNLIKE + "repository"),
            ({"repository": "ACME/app", "repository_owner": "ACME"}, UNLIKE + "repository"),
            ({"repository": "acme2/app"}, "repository: not of the repository_owner"),
            ({"repository": GONE}, "repository: missing"),
            ({"repository_id": ""}, "repository_id: missing"),
            ({"ref": "refs/heads/main2"}, UNLIKE + "ref"),
            ({"ref": "refs/tags/main", "ref_type": "tag"}, UNLIKE + "ref"),
            ({"ref": "refs/pull/7/merge", "event_name": "pull_request"}, UNLIKE + "ref"),
            ({"event_name": "pull_request_target"}, "event_name: pull_request_target"),
            ({"event_name": GONE}, "event_name: missing"),
        ),
    ),
    "gitlab_ci": Platform(
        typ="JWT",
        claims=GITLAB,
        misses=(
            ({"project_id": "21"}, UNLIKE + "project_id"),
            ({"project_id": "020"}, UNLIKE + "project_id"),
            ({"project_id": "99", "job_project_id": "20"}, UNLIKE + "project_id"),
            ({"project_id": 20}, "project_id: missing"),
            ({"project_path": "acme2/app"}, "project_path: not in the namespace_path"),
            ({"namespace_path": GONE}, "namespace_path: missing"),
            ({"namespace_id": GONE}, "namespace_id: missing"),
            ({"ref_protected": "false"}, UNLIKE + "ref_protected"),
            ({"ref_protected": True}, "ref_protected: missing"),
            ({"job_id": GONE}, "job_id: missing"),
            ({"pipeline_source": GONE}, "pipeline_source: missing"),
            (
                {"sub": "1", **dict.fromkeys(("project_id", "project_path", "job_id"), GONE)},
                "project_id: missing",
            ),
        ),
    ),
    "kubernetes": Platform(
        typ="",
        claims={
            "iss": "https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF",
            "aud": ["https://tokens.example.com"],
            "sub": "system:serviceaccount:shop:orders",
            "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
            **account(),
        },
        misses=(
            ({"sub": "system:serviceaccount:play:orders", **account("play")}, UNLIKE + "sub"),
            ({"sub": "system:serviceaccount:shop:default", **account(name="default")}, UNLIKE),
            ({"sub": "system:serviceaccount:play:orders"}, "sub: not the service account"),
            (account("play"), "sub: not the service account"),
            (account(name="default"), "sub: not the service account"),
            ({"sub": "system:serviceaccount:shop:orders:x"}, "sub: not the service account"),
            ({"sub": "system:node:shop"}, "sub: not the service account"),
            ({"kubernetes.io": GONE}, "kubernetes.io: missing"),
            ({"kubernetes.io": "shop"}, "kubernetes.io: missing"),
            ({"kubernetes.io": GONE, "kubernetes.io/serviceaccount/namespace": "shop"}, "missing"),
            (account(serviceaccount=GONE), "kubernetes.io: missing"),
            (account(serviceaccount={"name": "orders"}), "kubernetes.io: uid: missing"),
            (account(namespace=GONE), "kubernetes.io: namespace: missing"),
        ),
    ),
    "spiffe": Platform(
        typ="JWT",
        claims={
            "iss": "https://spire.example.org",
            "aud": ["https://tokens.example.com"],
            "sub": "spiffe://example.org/ns/shop/sa/orders",
        },
        misses=(
            ({"sub": "spiffe://example.org/ns/shop/sa/orders2"}, UNLIKE + "sub"),
            ({"sub": "spiffe://example.org/ns/shop/sa/Orders"}, UNLIKE + "sub"),
            ({"sub": "spiffe://example.com/ns/shop/sa/orders"}, "no SPIFFE ID of the trust"),
            ({"sub": "spiffe://example.org.evil.com/ns/shop"}, "no SPIFFE ID of the trust"),
            ({"sub": "spiffe://example.org@evil.com/ns/shop"}, "no SPIFFE ID of the trust"),
            ({"sub": "SPIFFE://example.org/ns/shop/sa/orders"}, "no SPIFFE ID of the trust"),
            ({"sub": "https://example.org/ns/shop/sa/orders"}, "no SPIFFE ID of the trust"),
            ({"sub": "spiffe://example.org"}, "no SPIFFE ID of the trust"),
            ({"sub": "spiffe://example.org/"}, "no path that a SPIFFE ID can have"),
            ({"sub": "spiffe://example.org/ns/shop/sa/orders/"}, "no path that a SPIFFE ID can"),
            ({"sub": "spiffe://example.org/ns/shop/sa/x/../orders"}, "no path that a SPIFFE ID"),
            ({"sub": "spiffe://example.org/ns//shop"}, "no path that a SPIFFE ID can have"),
            ({"sub": "spiffe://example.org/ns/shop%2Fsa/orders"}, "no path that a SPIFFE ID"),
            ({"sub": GONE}, "sub: missing"),
        ),
    ),
    "google": Platform(
        typ="JWT",
        claims=GOOGLE,
        misses=(
            ({"email": "other@acme-shop.iam.gserviceaccount.com"}, UNLIKE + "email"),
            ({"email": "orders@acme-play.iam.gserviceaccount.com"}, UNLIKE + "email"),
            ({"email": "1-compute@developer.gserviceaccount.com"}, UNLIKE + "email"),
            ({"email": GONE, "email_verified": GONE}, UNLIKE + "email"),
            ({"email": "ann@gmail.com"}, "email: no service account's"),
            ({"email": "orders@acme-shop.iam.gserviceaccount.com.evil.com"}, "no service account"),
            ({"email": ["orders@acme-shop.iam.gserviceaccount.com"]}, "no service account's"),
            ({"email_verified": False}, "email_verified: not true"),
            ({"email_verified": "true"}, "email_verified: not true"),
            ({"email_verified": GONE}, "email_verified: not true"),
            ({"hd": "acme.com"}, "sub: a person"),
            ({"at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q"}, "sub: a person"),
            ({"azp": GONE}, "azp: missing"),
        ),
    ),
    "azure": Platform(
        typ="JWT",
        claims=AZURE,
        misses=(
            ({"oid": TENANT, "sub": TENANT}, UNLIKE + "oid"),
            ({"oid": IDENTITY.upper(), "sub": IDENTITY.upper()}, UNLIKE + "oid"),
            ({"oid": GONE}, "oid: missing"),
            ({"oid": [IDENTITY]}, "oid: missing"),
            ({"tid": IDENTITY}, "tid: another tenant"),
            ({"tid": GONE}, "tid: missing"),
            ({"ver": "2.0"}, "ver: not 1.0"),
            ({"ver": GONE}, "ver: not 1.0"),
            ({"scp": "user_impersonation"}, "scp: a person's"),
            ({"idtyp": "user"}, "scp: a person's"),
            ({"idtyp": GONE, "sub": "abc"}, "sub: not the oid"),
        ),
    ),
    "aws": Platform(
        typ="JWT",
        algorithm="ES384",
        claims={
            "iss": "https://abc12345-def4-5678-90ab-cdef12345678.tokens.sts.global.api.aws",
            "aud": "https://tokens.example.com",
            "sub": "arn:aws:iam::123456789012:role/orders",
            "jti": "xyz123-def456-ghi789-jkl012",
            **sts(),
        },
        misses=(
            ({"sub": "arn:aws:iam::123456789012:role/orders2"}, UNLIKE + "sub"),
            ({"sub": "arn:aws:iam::123456789012:role/team/orders"}, UNLIKE + "sub"),
            ({"sub": "arn:aws:iam::123456789012:user/orders"}, UNLIKE + "sub"),
            ({"sub": "arn:aws:sts::123456789012:assumed-role/orders/x"}, UNLIKE + "sub"),
            ({"sub": "arn:aws:iam::210987654321:role/orders"}, "sub: no ARN of the account"),
            ({"sub": "arn:aws:s3::123456789012:role/orders"}, "sub: no ARN of the account"),
            ({"sub": "orders"}, "sub: no ARN of the account"),
            ({"sub": GONE}, "sub: missing"),
            (sts(aws_account="210987654321"), "aws_account: another account"),
            (sts(aws_account=123456789012), "aws_account: another account"),
            (sts(aws_account=GONE), "aws_account: another account"),
            ({STS: GONE}, "https://sts.amazonaws.com/: missing"),
            ({STS: "123456789012"}, "https://sts.amazonaws.com/: missing"),
        ),
    ),
}
