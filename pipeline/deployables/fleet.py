"""`kubeflow/fleet.yaml`: what the manifests and the exchange's policies of a fleet are rendered from.

It holds addresses and names, no secret. The deployment file (`isthmus.yaml`) says what runs; this one
says where the cluster lets it reach.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal

import pydantic
import yaml

from components.config_base import ComponentConfig
from components.errors import ConfigError
from components.strict_yaml import StrictLoader
from pipeline.config.load import describe
from pipeline.config.model import slug

#: A name in Kubernetes (RFC 1123), short enough for `region-to-exchange-<slug>` and its like.
SLUG = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
#: Names of namespaces, and of steps that are not a region's.
RESERVED = ("central", "single-cluster")
PRINCIPAL_ARN = r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+$"
GCS_MEMBER = r"^(serviceAccount|principal|principalSet):[^\s]+$"


class Address(ComponentConfig):
    """Where a store or an API answers.

    Attributes:
      cidr: Addresses, as `203.0.113.8/32`. A store with many of them (a provider's public endpoint) is
        better given a private endpoint; more than one range takes a patch in the overlay.
      port: TCP port.
    """

    cidr: str
    port: int = pydantic.Field(default=443, ge=1, le=65535)

    @pydantic.field_validator("cidr")
    @classmethod
    def _check_cidr(cls, value: str) -> str:
        try:
            network = ipaddress.ip_network(value)
        except ValueError as error:
            raise ValueError(f"found '{value}'; allowed: a range as 203.0.113.8/32 ({error})") from None
        if network.prefixlen == 0:
            raise ValueError(f"found '{value}', which is every address; allowed: the store's own")
        return value


class Artifacts(Address):
    """The bucket where KFP keeps artifacts of runs in a namespace.

    Attributes:
      pipeline_root: Its address, `s3://…`, `minio://…` or `gs://…`.
      endpoint: Host of an S3-compatible store, without a scheme; none for `gs://`.
      region: Region of the bucket.
      disable_tls: Only for a store of a trial cluster.
    """

    pipeline_root: str = pydantic.Field(
        pattern=r"^(s3|minio|gs)://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?$"
    )
    endpoint: str | None = pydantic.Field(default=None, pattern=r"^[a-z0-9.-]+(:[0-9]+)?$")
    region: str = "us-east-1"
    disable_tls: bool = False

    @pydantic.model_validator(mode="after")
    def _check_endpoint(self) -> Artifacts:
        if self.pipeline_root.startswith("gs://") == (self.endpoint is not None):
            raise ValueError("endpoint: needed for s3:// and minio://, and not taken for gs://")
        return self


class Member(ComponentConfig):
    """Who a region, or the centre, is to the exchange.

    Attributes:
      s3_principal: The role that its pods assume, or the user whose keys they have (an ARN).
      gcs_member: Its IAM principal on Google Cloud.
    """

    s3_principal: str | None = pydantic.Field(default=None, pattern=PRINCIPAL_ARN)
    gcs_member: str | None = pydantic.Field(default=None, pattern=GCS_MEMBER)


class Region(Member):
    """One locale.

    Attributes:
      locale: As in the deployment file; it is the prefix in the exchange.
      slug: Its name in Kubernetes, the one that `isthmus compile` gives it; rarely said here.
      sharing: As in the deployment file.
      artifacts: Its own bucket: KFP's artifacts, and what its steps hand on (`placement.store`).
      data: Where its raw rows are.
    """

    locale: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    slug: str = ""
    sharing: Literal["open", "restricted"]
    artifacts: Artifacts
    data: Address

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_slug(cls, values: object) -> object:
        if isinstance(values, dict) and not values.get("slug"):
            return {**values, "slug": slug(str(values.get("locale", "")))}
        return values

    @pydantic.field_validator("slug")
    @classmethod
    def _check_slug(cls, value: str) -> str:
        if not re.fullmatch(SLUG, str(value)) or value in RESERVED:
            raise ValueError(
                f"found '{value}'; allowed: lower-case letters, digits and hyphens, at most 40, not "
                f"{' or '.join(RESERVED)}"
            )
        return value


class Central(Member):
    """The centre: its own bucket for KFP's artifacts."""

    artifacts: Artifacts


class S3Exchange(ComponentConfig):
    """The exchange on S3.

    Attributes:
      bucket: Its name.
      admin_principals: Roles and users that may delete and change the bucket; people, not pods.
      mode: `bucket` grants each region in the bucket's own policy, across accounts (20 KiB: about 28
        regions). `identity` grants by a policy on each principal, for principals of the bucket's account.
    """

    bucket: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    admin_principals: tuple[str, ...] = pydantic.Field(min_length=1)
    mode: Literal["bucket", "identity"] = "bucket"

    @pydantic.field_validator("admin_principals")
    @classmethod
    def _check_arns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for arn in value:
            if not re.fullmatch(PRINCIPAL_ARN, arn):
                raise ValueError(
                    f"found '{arn}'; allowed: arn:aws:iam::<account>:role/<name>, or user/<name>"
                )
        return value


class GcsExchange(ComponentConfig):
    """The exchange on Google Cloud Storage.

    Attributes:
      bucket: Its name.
      project: The project that the custom roles are defined in.
      admin_members: Principals that may delete and change the bucket.
    """

    bucket: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")
    project: str = pydantic.Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    admin_members: tuple[str, ...] = pydantic.Field(min_length=1)


class Exchange(Address):
    """The exchange: its address and its layout.

    Attributes:
      prefix: Path inside the bucket, `releases` for `s3://<bucket>/releases`.
      s3, gcs: Its bucket on either; policies are rendered for those that are given.
    """

    prefix: str = pydantic.Field(default="releases", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")
    s3: S3Exchange | None = None
    gcs: GcsExchange | None = None


class Gateway(ComponentConfig):
    """A Pushgateway inside the cluster (`kubeflow/monitoring`).

    Attributes:
      namespace: Its namespace.
      port: Of its pods, which are labelled `app.kubernetes.io/name: prometheus-pushgateway`.
    """

    namespace: str = pydantic.Field(pattern=SLUG)
    port: int = pydantic.Field(default=9091, ge=1, le=65535)


class Report(ComponentConfig):
    """Where the report of a run may connect to, besides the exchange: who is told by metrics and alerts.

    Attributes:
      endpoints: Of Slack (or the proxy that leads there), webhooks, mail servers, a Pushgateway outside the
        cluster, and of the bucket of `alerts.state`.
      pushgateway: One in the cluster; none for none.
    """

    endpoints: tuple[Address, ...] = ()
    pushgateway: Gateway | None = None


class Recurring(ComponentConfig):
    """When the CronJob of each namespace submits.

    Attributes:
      schedule: Five fields of cron, in UTC.
      suspend: Whether it waits; true until `pipeline.yaml` is compiled into the overlay.
    """

    schedule: str = pydantic.Field(default="0 3 * * *", pattern=r"^(\S+ ){4}\S+$")
    suspend: bool = True


class Fleet(ComponentConfig):
    """A fleet as the cluster and the exchange see it.

    Attributes:
      image: Our image, `registry/name`, and its tag or digest.
      kfp_namespace: Where Kubeflow Pipelines is installed.
      kfp_endpoint: Address of its API inside the cluster, for the CronJob that submits.
      kubernetes_api: The Kubernetes API server.
      exchange: The exchange.
      central: The centre.
      regions: Every locale.
      report: Where a run's report may connect to; nowhere by default.
      recurring: The CronJob that submits.
      components: What is added to every namespace: `external-secrets` where that operator is installed,
        `hold-drains` where a drain has to wait for steps, `dev-store` to reach that server.
    """

    image: str = pydantic.Field(pattern=r"^[a-z0-9.:/_-]+(:[\w.-]+|@sha256:[0-9a-f]{64})$")
    kfp_namespace: str = "kubeflow"
    kfp_endpoint: str = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    kubernetes_api: Address
    exchange: Exchange
    central: Central
    regions: tuple[Region, ...] = pydantic.Field(min_length=1)
    report: Report = Report()
    recurring: Recurring = Recurring()
    components: tuple[Literal["external-secrets", "hold-drains", "dev-store"], ...] = ()

    @pydantic.model_validator(mode="after")
    def _check_unique(self) -> Fleet:
        for what in ("locale", "slug"):
            names = [getattr(region, what) for region in self.regions]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"regions: {what} '{twice[0]}' is given twice; allowed: once")
        roots = [x.artifacts.pipeline_root for x in self.regions] + [self.central.artifacts.pipeline_root]
        shared = sorted({root for root in roots if roots.count(root) > 1})
        if shared:
            raise ValueError(
                f"artifacts.pipeline_root: {shared[0]} is given to two; allowed: a bucket of its own for "
                "each region and the centre"
            )
        for store, field in (("s3", "s3_principal"), ("gcs", "gcs_member")):
            members = [*self.regions, self.central] if getattr(self.exchange, store) else []
            names = [getattr(member, field) for member in members]
            if None in names:
                raise ValueError(f"{field}: missing for one; needed of all where exchange.{store} is given")
            if len(set(names)) < len(names):
                raise ValueError(f"{field}: two have the same one; allowed: one each")
        return self


def load_fleet(path: Path) -> Fleet:
    """Reads and checks a fleet file.

    Raises:
      ConfigError: it is missing, no YAML, or breaks a rule; one line with file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=StrictLoader)
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: {getattr(error, 'problem', None) or 'not YAML'}") from None
    try:
        return Fleet.model_validate(data)
    except pydantic.ValidationError as error:
        raise describe(error, path, root, Fleet) from None
