"""The section `metrics` of a deployment: where numbers of a run go for Prometheus, and how many."""

from __future__ import annotations

from urllib.parse import urlsplit

import pydantic

from components.config_base import ComponentConfig
from components.secrets import SecretRef
from pipeline.hosts import is_near


class PushgatewaySection(ComponentConfig):
    """One Prometheus Pushgateway.

    Attributes:
      url: `https://HOST[:PORT][/PATH]`, without a user and without `/metrics`.
      job: Value of the label `job` of everything that is pushed.
      username: Of basic authentication; goes with `password`.
      password: Where the password is.
      token: Where the bearer token is, in place of a password.
      ca_file: Certificates to check the server against, PEM; null: the machine's.
      timeout_s: How long one attempt may wait for a connection, and for an answer.
      attempts: How often one group is tried in all.
    """

    url: str
    job: str = pydantic.Field(default="isthmus", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    username: str | None = pydantic.Field(default=None, pattern=r"^[^:\s]{1,128}$")
    password: SecretRef | None = None
    token: SecretRef | None = None
    ca_file: str | None = pydantic.Field(default=None, min_length=1)
    timeout_s: float = pydantic.Field(default=10.0, gt=0, le=120)
    attempts: int = pydantic.Field(default=4, ge=1, le=10)

    @pydantic.field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username is not None
            or parts.query
            or parts.fragment
            or not url.isprintable()
            or " " in url
        ):
            # The address itself is not said: it may hold a password.
            raise ValueError("no address of a Pushgateway; allowed: https://HOST[:PORT][/PATH]")
        return url.rstrip("/")

    @pydantic.model_validator(mode="after")
    def _check_credentials(self) -> PushgatewaySection:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together; found one of them")
        if self.token is not None and self.password is not None:
            raise ValueError("a token and a password; allowed: one of them")
        parts = urlsplit(self.url)
        if (self.token or self.password) and parts.scheme == "http" and not is_near(str(parts.hostname)):
            raise ValueError("a secret over http; allowed: https, or a service of the cluster")
        return self


class MetricsSection(ComponentConfig):
    """Metrics of each run. Without `textfile_folder` and `pushgateway` nothing is written or sent.

    Attributes:
      textfile_folder: Folder of node_exporter's textfile collector, for one `.prom` file per zone.
      pushgateway: Where to push; null for nowhere.
      max_features: Features with series of their own, per locale and comparison; the worst are kept.
      max_series: Series of single comparisons per zone; beyond it the worst comparisons are kept.
    """

    textfile_folder: str | None = pydantic.Field(default=None, min_length=1)
    pushgateway: PushgatewaySection | None = None
    # A row of a heat map that a person can still read.
    max_features: int = pydantic.Field(default=25, ge=1, le=10_000)
    # Two megabytes of text per zone. Prometheus itself sets no limit; operators often set some ten thousand.
    max_series: int = pydantic.Field(default=10_000, ge=0, le=1_000_000)


NO_METRICS = MetricsSection()
