"""The exchange's policies: what S3 and Google Cloud Storage are told, decided as they would decide it."""

from __future__ import annotations

import copy
import json

import pytest

from components.errors import ConfigError
from pipeline.deployables.exchange_gcs import ROLES, render_gcs
from pipeline.deployables.exchange_s3 import MAX_POLICY_BYTES, render_s3
from pipeline.deployables.fleet import load_fleet
from tests.unit.kubeflow.conftest import KUBEFLOW
from tests.unit.kubeflow.fleets import many_regions
from tests.unit.kubeflow.s3_model import Request, allowed

BUCKET = "arn:aws:s3:::isthmus-exchange"
ADMIN = "arn:aws:iam::111111111111:role/isthmus-exchange-admin"
CENTRE = "arn:aws:iam::111111111111:role/isthmus-central"
ROLE = {
    "us-east": "arn:aws:iam::222222222222:role/isthmus-us-east",
    "eu-west": "arn:aws:iam::333333333333:role/isthmus-eu-west",
    "ap-south": "arn:aws:iam::444444444444:role/isthmus-ap-south",
}
STRANGER = "arn:aws:iam::333333333333:role/somebody"
OWN = "releases/eu-west/span-3/2-0f3a9c41d27b"
OTHERS = "releases/ap-south/span-3/2-0f3a9c41d27b"
ONCE = {"s3:if-none-match": "*"}
NOTICES = "releases/_notices"


@pytest.fixture(scope="module")
def policy() -> dict:
    return json.loads((KUBEFLOW / "exchange" / "s3-bucket-policy.json").read_text())


def may(policy, principal, action, key="", **context) -> bool:
    resource = f"{BUCKET}/{key}" if key else BUCKET
    names = {name.replace("_", ":", 1).replace("_", "-"): value for name, value in context.items()}
    return allowed(Request(principal, f"s3:{action}", resource, names), policy)


@pytest.mark.parametrize(
    "action, key, context, wanted",
    [
        ("PutObject", f"{OWN}/Split-train/data_tfrecord-00000-of-00001.gz", {}, True),
        ("GetObject", f"{OWN}/manifest.json", {}, True),
        ("AbortMultipartUpload", f"{OWN}/Split-train/a.gz", {}, True),
        ("ListBucket", "", {"s3_prefix": "releases/eu-west/"}, True),
        ("ListBucket", "", {"s3_prefix": f"{OWN}/"}, True),
        ("PutObject", f"{OWN}/manifest.json", {"s3_if_none_match": "*"}, True),
        ("PutObject", f"{OWN}.revoked-5d41402abc4b2a76.json", {"s3_if_none_match": "*"}, True),
        # Written once.
        ("PutObject", f"{OWN}/manifest.json", {}, False),
        ("PutObject", f"{OWN}.revoked-5d41402abc4b2a76.json", {}, False),
        # Never deleted, nor changed otherwise.
        ("DeleteObject", f"{OWN}/manifest.json", {}, False),
        ("DeleteObject", f"{OWN}/Split-train/a.gz", {}, False),
        ("DeleteObjectVersion", f"{OWN}/manifest.json", {}, False),
        ("PutObjectAcl", f"{OWN}/manifest.json", {}, False),
        ("PutBucketPolicy", "", {}, False),
        ("PutBucketVersioning", "", {}, False),
        ("GetObjectVersion", f"{OWN}/manifest.json", {}, False),
        # Nothing of another region, nothing beside the releases.
        ("GetObject", f"{OTHERS}/manifest.json", {}, False),
        ("PutObject", f"{OTHERS}/manifest.json", {"s3_if_none_match": "*"}, False),
        ("PutObject", "releases/eu-west-2/span-3/1-0f3a9c41d27b/a", {}, False),
        ("PutObject", "releases/eu-west", {}, False),
        ("GetObject", "elsewhere/eu-west/a", {}, False),
        ("ListBucket", "", {"s3_prefix": "releases/ap-south/"}, False),
        ("ListBucket", "", {"s3_prefix": "releases/"}, False),
        ("ListBucket", "", {"s3_prefix": ""}, False),
        ("ListBucket", "", {}, False),
        # Notices: those that bear its name, again as often as it likes; the folder of one run.
        ("PutObject", f"{NOTICES}/3c0b/eu-west.json", {}, True),
        ("GetObject", f"{NOTICES}/3c0b/eu-west.json", {}, True),
        ("ListBucket", "", {"s3_prefix": f"{NOTICES}/3c0b/"}, True),
        ("ListBucket", "", {"s3_prefix": f"{NOTICES}/"}, False),
        ("ListBucket", "", {"s3_prefix": f"{NOTICES}/3"}, False),
        ("PutObject", f"{NOTICES}/3c0b/ap-south.json", {}, False),
        ("GetObject", f"{NOTICES}/3c0b/ap-south.json", {}, False),
        ("PutObject", f"{NOTICES}/3c0b/not-eu-west.json", {}, False),
        ("PutObject", f"{NOTICES}/3c0b/central.json", {}, False),
        ("PutObject", f"{NOTICES}/3c0b/_report.json", {}, False),
        ("GetObject", f"{NOTICES}/3c0b/_report.json", {}, False),
        ("DeleteObject", f"{NOTICES}/3c0b/eu-west.json", {}, False),
        # Not without TLS.
        ("GetObject", f"{OWN}/manifest.json", {"aws_SecureTransport": "false"}, False),
    ],
)
def test_what_a_region_may_do(policy, action, key, context, wanted):
    assert may(policy, ROLE["eu-west"], action, key, **context) is wanted


@pytest.mark.parametrize("locale", list(ROLE))
def test_every_region_has_its_own_prefix_and_no_other(policy, locale):
    for other in ROLE:
        for action in ("GetObject", "PutObject"):
            assert may(policy, ROLE[locale], action, f"releases/{other}/span-0/a") is (other == locale)
        assert may(policy, ROLE[locale], "ListBucket", s3_prefix=f"releases/{other}/") is (other == locale)


def test_the_centre_reads_everything_and_writes_its_notices_only(policy):
    for locale in ROLE:
        key = f"releases/{locale}/span-3/2-0f3a9c41d27b/manifest.json"
        assert may(policy, CENTRE, "GetObject", key)
        assert may(policy, CENTRE, "ListBucket", s3_prefix=f"releases/{locale}/")
        assert not may(policy, CENTRE, "PutObject", key, s3_if_none_match="*")
        assert not may(policy, CENTRE, "DeleteObject", key)
        assert may(policy, CENTRE, "GetObject", f"{NOTICES}/3c0b/{locale}.json")
        assert not may(policy, CENTRE, "PutObject", f"{NOTICES}/3c0b/{locale}.json")
    for zone in ("central", "_report"):
        assert may(policy, CENTRE, "GetObject", f"{NOTICES}/3c0b/{zone}.json")
        assert may(policy, CENTRE, "PutObject", f"{NOTICES}/3c0b/{zone}.json")
        assert not may(policy, CENTRE, "DeleteObject", f"{NOTICES}/3c0b/{zone}.json")
        assert not may(policy, CENTRE, "PutObject", f"releases/3c0b/{zone}.json")
    assert may(policy, CENTRE, "ListBucket", s3_prefix=f"{NOTICES}/3c0b/")
    assert not may(policy, CENTRE, "ListBucket")
    assert not may(policy, CENTRE, "GetObject", "elsewhere/a")


@pytest.mark.parametrize("principal", [None, STRANGER, ADMIN])
def test_nobody_else_is_allowed_anything(policy, principal):
    for action, key in (("GetObject", f"{OWN}/manifest.json"), ("PutObject", f"{OWN}/a"), ("ListBucket", "")):
        assert not may(policy, principal, action, key, s3_prefix="releases/eu-west/")


def test_a_stranger_is_denied_whatever_its_own_account_allows(policy):
    everything = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    request = Request(STRANGER, "s3:GetObject", f"{BUCKET}/{OWN}/manifest.json")
    assert not allowed(request, policy, everything)
    # An administrator has what the role's own policy says, but does not overwrite a manifest.
    delete = Request(ADMIN, "s3:DeleteObject", f"{BUCKET}/{OWN}/manifest.json")
    assert allowed(delete, policy, everything)
    assert not allowed(Request(ADMIN, "s3:PutObject", delete.resource), policy, everything)
    region = Request(ROLE["eu-west"], "s3:DeleteObject", delete.resource)
    assert not allowed(region, policy, everything)


def test_by_identity_a_role_may_do_the_same(policy):
    fleet = load_fleet(KUBEFLOW / "fleet.yaml")
    identity = {
        "exchange": {
            **fleet.model_dump()["exchange"],
            "s3": {**fleet.exchange.s3.model_dump(), "mode": "identity"},
        }
    }
    files = render_s3(type(fleet).model_validate({**fleet.model_dump(), **identity}))
    bucket = json.loads(files["exchange/s3-bucket-policy.json"])
    roles = {x: json.loads(files[f"exchange/s3-identity-{x}.json"]) for x in (*ROLE, "central")}
    assert {x["Effect"] for x in bucket["Statement"]} == {"Deny"}
    for slug, principal in {**ROLE, "central": CENTRE}.items():
        for action in ("GetObject", "PutObject", "DeleteObject"):
            keys = [f"releases/{locale}/span-0/a" for locale in ROLE]
            for key in [*keys, *(f"{NOTICES}/3c0b/{zone}.json" for zone in (*ROLE, "central", "_report"))]:
                request = Request(principal, f"s3:{action}", f"{BUCKET}/{key}")
                assert allowed(request, bucket, roles[slug]) is allowed(request, policy), (slug, action, key)
        for prefix in ("releases/eu-west/", f"{NOTICES}/", f"{NOTICES}/3c0b/"):
            request = Request(principal, "s3:ListBucket", BUCKET, {"s3:prefix": prefix})
            assert allowed(request, bucket, roles[slug]) is allowed(request, policy), (slug, prefix)


def test_each_statement_is_needed(policy):
    """Without any one statement some answer changes: the tables above would show it."""
    everything = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    keys = [f"{x}/manifest.json" for x in (OWN, OTHERS, "releases/us-east/span-0/1-0f3a9c41d27b")]
    keys.append(f"{NOTICES}/3c0b/central.json")
    requests = [
        Request(principal, f"s3:{action}", f"{BUCKET}/{key}" if key else BUCKET, {**tls, **condition})
        for principal in (None, STRANGER, ADMIN, CENTRE, *ROLE.values())
        for action, key in [(a, k) for a in ("GetObject", "PutObject", "DeleteObject") for k in keys]
        + [("ListBucket", "")]
        for tls in ({}, {"aws:SecureTransport": "false"})
        for condition in ({}, ONCE, *({"s3:prefix": f"releases/{x}/"} for x in (*ROLE, "none")))
    ]

    def answers(document):
        return [(allowed(x, document), allowed(x, document, everything)) for x in requests]

    whole = answers(policy)
    for index, statement in enumerate(policy["Statement"]):
        broken = copy.deepcopy(policy)
        del broken["Statement"][index]
        assert answers(broken) != whole, statement["Sid"]


def test_fifty_regions_are_too_many_for_one_bucket_policy():
    with pytest.raises(ConfigError) as caught:
        render_s3(many_regions(50))
    assert f"allowed: {MAX_POLICY_BYTES}. Set mode: identity" in str(caught.value)
    files = render_s3(many_regions(50, mode="identity"))
    assert len(files) == 52
    assert max(len(text) for text in files.values()) < MAX_POLICY_BYTES
    assert len(render_s3(many_regions(28))) == 1


# --- Google Cloud Storage: the expressions are of a form that a small reader knows ---


def gcs_may(bindings, member, permission, name="", prefix="") -> bool:
    """IAM's decision, for the expressions that we write: `||` and `&&` over six kinds of terms."""
    resource = "projects/_/buckets/isthmus-exchange" + (f"/objects/{name}" if name else "")
    permissions = {f"projects/isthmus-fleet/roles/{x}": y for x, (_, y) in ROLES.items()}

    def term(text: str) -> bool:
        text, wanted = text.strip(), None
        if text.startswith("resource.name.startsWith('"):
            wanted = resource.startswith(text.split("'")[1])
        elif text.startswith("resource.name.endsWith('"):
            wanted = resource.endswith(text.split("'")[1])
        elif text.startswith("!resource.name.endsWith('"):
            wanted = not resource.endswith(text.split("'")[1])
        elif text.startswith("api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('"):
            wanted = prefix.startswith(text.split("'")[-2])
        elif text == "resource.name.extract('.revoked-{key}.json') == ''":
            _, mark, after = resource.partition(".revoked-")
            wanted = not (mark and ".json" in after)
        assert wanted is not None, text
        return wanted

    return any(
        member in x["members"]
        and permission in permissions.get(x["role"], [])
        and any(all(term(y) for y in z.split("&&")) for z in x["condition"]["expression"].split("||"))
        for x in bindings
    )


def test_google_cloud_s_policy_says_the_same():
    bindings = json.loads((KUBEFLOW / "exchange" / "gcs-iam-policy.json").read_text())["bindings"]
    region = "serviceAccount:eu-west@isthmus-eu-west.iam.gserviceaccount.com"
    centre = "serviceAccount:central@isthmus-fleet.iam.gserviceaccount.com"
    for permission in ("create", "get"):
        assert gcs_may(bindings, region, f"storage.objects.{permission}", f"{OWN}/manifest.json")
        assert not gcs_may(bindings, region, f"storage.objects.{permission}", f"{OTHERS}/manifest.json")
        assert not gcs_may(bindings, region, f"storage.objects.{permission}", "releases/eu-west-2/a")
    delete, listing = "storage.objects.delete", "storage.objects.list"
    assert gcs_may(bindings, region, delete, f"{OWN}/Split-train/a.gz")  # to write it again
    assert not gcs_may(bindings, region, delete, f"{OWN}/manifest.json")
    assert not gcs_may(bindings, region, delete, f"{OWN}.revoked-5d41402abc4b2a76.json")
    assert not gcs_may(bindings, region, delete, f"{OTHERS}/Split-train/a.gz")
    assert gcs_may(bindings, region, listing, prefix="releases/eu-west/span-3/")
    assert not gcs_may(bindings, region, listing, prefix="releases/ap-south/")
    assert not gcs_may(bindings, region, listing)
    assert gcs_may(bindings, centre, listing, prefix="releases/ap-south/")
    assert gcs_may(bindings, centre, "storage.objects.get", f"{OTHERS}/manifest.json")
    assert not gcs_may(bindings, centre, "storage.objects.create", f"{OTHERS}/manifest.json")
    assert not gcs_may(bindings, centre, delete, f"{OTHERS}/Split-train/a.gz")
    for permission in ("create", "get", "delete"):
        asked = f"storage.objects.{permission}"
        assert gcs_may(bindings, region, asked, f"{NOTICES}/3c0b/eu-west.json")
        for zone in ("ap-south", "not-eu-west", "central", "_report"):
            assert not gcs_may(bindings, region, asked, f"{NOTICES}/3c0b/{zone}.json")
    assert not gcs_may(bindings, region, delete, "elsewhere/eu-west.json")
    assert gcs_may(bindings, region, listing, prefix=f"{NOTICES}/3c0b/")
    for zone in ("central", "_report"):
        for permission in ("create", "get", "delete"):
            assert gcs_may(bindings, centre, f"storage.objects.{permission}", f"{NOTICES}/3c0b/{zone}.json")
    assert gcs_may(bindings, centre, "storage.objects.get", f"{NOTICES}/3c0b/eu-west.json")
    for permission in ("create", "delete"):
        assert not gcs_may(bindings, centre, f"storage.objects.{permission}", f"{NOTICES}/3c0b/eu-west.json")
    members = {x for y in bindings for x in y["members"]}
    assert not members & {"allUsers", "allAuthenticatedUsers"}


def test_policies_are_written_for_the_stores_that_are_given():
    fleet = load_fleet(KUBEFLOW / "fleet.yaml")
    bare = fleet.model_copy(update={"exchange": fleet.exchange.model_copy(update={"s3": None, "gcs": None})})
    assert render_s3(bare) == render_gcs(bare) == {}
