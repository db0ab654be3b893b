"""Who may do what in the exchange's bucket on S3, from what the code really asks of it.

A region lists, reads and writes below `<prefix>/<locale>/`; the centre lists and reads. Nobody of them
deletes. `manifest.json` and revocations are written once: a write without `If-None-Match` is refused.
Other files of a release may be written again, since a publisher that was killed starts over.

Of the notices (`pipeline.entrypoint.notices`) a region reads and writes those that bear its name, and lists
the folder of a run whose id it knows; the centre writes its own and the report's. They may be written again.

AWS, "Policies and permissions in Amazon S3", "Enforce conditional writes on Amazon S3 buckets" and
"Actions, resources, and condition keys for Amazon S3".
"""

from __future__ import annotations

import json
from typing import Any

from components.errors import ConfigError
from pipeline.deployables.fleet import Fleet, Region, S3Exchange

#: "Bucket policies are limited to 20 KB in size" (AWS, "Adding a bucket policy").
MAX_POLICY_BYTES = 20 * 1024
WRITTEN_ONCE = ("manifest.json", "*.revoked-*.json")
#: Below the prefix, one folder per run and one notice per zone.
NOTICES = "_notices"
CENTRE_NOTICES = ("central", "_report")
_WRITING = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]

Statement = dict[str, Any]


def render_s3(fleet: Fleet) -> dict[str, str]:
    """Path below `kubeflow/` to content: the bucket's policy, and in mode `identity` one for each principal.

    Raises:
      ConfigError: the bucket's policy would be larger than S3 takes.
    """
    exchange = fleet.exchange.s3
    if exchange is None:
        return {}
    statements = _guards(fleet, exchange)
    files: dict[str, str] = {}
    for region in fleet.regions:
        granted = _region(fleet, exchange, region)
        if exchange.mode == "bucket":
            statements += [_to(statement, str(region.s3_principal)) for statement in granted]
        else:
            files[f"exchange/s3-identity-{region.slug}.json"] = _document(granted)
    granted = _central(fleet, exchange)
    if exchange.mode == "bucket":
        statements += [_to(statement, str(fleet.central.s3_principal)) for statement in granted]
    else:
        files["exchange/s3-identity-central.json"] = _document(granted)
    compact = len(json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":")))
    if compact > MAX_POLICY_BYTES:
        raise ConfigError(
            f"exchange.s3.mode: the bucket policy of {len(fleet.regions)} regions has {compact} bytes; "
            f"allowed: {MAX_POLICY_BYTES}. Set mode: identity, for principals of the bucket's account."
        )
    return {"exchange/s3-bucket-policy.json": _document(statements), **files}


def _guards(fleet: Fleet, exchange: S3Exchange) -> list[Statement]:
    """What holds for everybody, whatever is granted anywhere."""
    bucket = f"arn:aws:s3:::{exchange.bucket}"
    everything = [bucket, f"{bucket}/*"]
    admins = list(exchange.admin_principals)
    known = [
        *admins,
        str(fleet.central.s3_principal),
        *(str(region.s3_principal) for region in fleet.regions),
    ]
    return [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": everything,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            # An absent key counts as unequal: anonymous requests and services are denied too.
            "Sid": "NobodyElse",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": everything,
            "Condition": {"StringNotEquals": {"aws:PrincipalArn": known}},
        },
        {
            "Sid": "OnlyAdministratorsDeleteOrChangeTheBucket",
            "Effect": "Deny",
            "Principal": "*",
            "NotAction": [*_WRITING, "s3:ListBucket"],
            "Resource": everything,
            "Condition": {"StringNotEquals": {"aws:PrincipalArn": admins}},
        },
        {
            "Sid": "ManifestsAndRevocationsAreWrittenOnce",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": [f"{bucket}/{fleet.exchange.prefix}/*/{name}" for name in WRITTEN_ONCE],
            "Condition": {"Null": {"s3:if-none-match": "true"}},
        },
    ]


def _region(fleet: Fleet, exchange: S3Exchange, region: Region) -> list[Statement]:
    folder = f"{fleet.exchange.prefix}/{region.locale}"
    name = region.slug.title().replace("-", "")
    # Its report lists one run's notices. Whoever does not know a run's id cannot ask for it.
    listed = [f"{folder}/*", f"{fleet.exchange.prefix}/{NOTICES}/?*/"]
    # One statement for releases and notices: a bucket's policy has little room.
    return [
        _listing(f"{name}Lists", exchange, listed),
        {
            "Sid": f"{name}Publishes",
            "Effect": "Allow",
            "Action": list(_WRITING),
            "Resource": [
                f"arn:aws:s3:::{exchange.bucket}/{folder}/*",
                _notice(fleet, exchange, region.locale),
            ],
        },
    ]


def _central(fleet: Fleet, exchange: S3Exchange) -> list[Statement]:
    return [
        _listing("CentreLists", exchange, [f"{fleet.exchange.prefix}/*"]),
        {
            "Sid": "CentreReads",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{exchange.bucket}/{fleet.exchange.prefix}/*",
        },
        {
            "Sid": "CentreGivesNotice",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": [_notice(fleet, exchange, zone) for zone in CENTRE_NOTICES],
        },
    ]


def _notice(fleet: Fleet, exchange: S3Exchange, zone: str) -> str:
    return f"arn:aws:s3:::{exchange.bucket}/{fleet.exchange.prefix}/{NOTICES}/*/{zone}.json"


def _listing(sid: str, exchange: S3Exchange, prefixes: list[str]) -> Statement:
    """Listing is what tells "not there" (404) from "not allowed" (403); a prefix has to be asked for."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{exchange.bucket}",
        "Condition": {"StringLike": {"s3:prefix": prefixes}},
    }


def _to(statement: Statement, principal: str) -> Statement:
    return {"Sid": statement["Sid"], "Principal": {"AWS": principal}, **statement}


def _document(statements: list[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"
