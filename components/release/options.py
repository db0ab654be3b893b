"""How to reach an object store: typed, secrets by reference, turned into fsspec's arguments here only.

Whatever is not given is left to the store's own client: environment, instance role, credential files.
"""

from __future__ import annotations

from typing import Any

import pydantic

from components.config_base import ComponentConfig
from components.errors import ConfigError
from components.secrets import SecretRef

#: Protocols of one store, under the name that messages use.
_FAMILIES = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
}
_USED_BY: dict[str, tuple[str, ...]] = {
    "s3": ("endpoint_url", "region", "access_key_id", "secret_access_key", "session_token", "anonymous"),
    "gs": ("endpoint_url", "project", "token_file", "anonymous"),
    "az": (
        "account_name",
        "account_key",
        "connection_string",
        "sas_token",
        "tenant_id",
        "client_id",
        "client_secret",
        "anonymous",
    ),
}


class StorageOptions(ComponentConfig):
    """Endpoint, credentials and patience for `s3://`, `gs://` and `az://`.

    Attributes:
      endpoint_url: Address of a store other than the provider's own (`s3`, `gs`), such as a MinIO.
      region: Region of the bucket (`s3`).
      access_key_id, secret_access_key, session_token: Credentials (`s3`).
      project: Project that is billed (`gs`).
      token_file: File of a service account's credentials, JSON (`gs`).
      account_name: Storage account (`az`).
      account_key, connection_string, sas_token: Credentials (`az`), any one of them.
      tenant_id, client_id, client_secret: A service principal (`az`).
      anonymous: Ask without credentials: a public bucket.
      connect_timeout_s, read_timeout_s: How long one attempt may wait for a connection, and for an answer.
      attempts: How often one request is tried in all when the store answers 5xx, is silent, or hangs up.
    """

    endpoint_url: str | None = pydantic.Field(default=None, pattern=r"^https?://[^\s]+$")
    region: str | None = None
    access_key_id: SecretRef | None = None
    secret_access_key: SecretRef | None = None
    session_token: SecretRef | None = None
    project: str | None = None
    token_file: str | None = None
    account_name: str | None = None
    account_key: SecretRef | None = None
    connection_string: SecretRef | None = None
    sas_token: SecretRef | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: SecretRef | None = None
    anonymous: bool = False
    connect_timeout_s: float = pydantic.Field(default=10.0, gt=0, le=600)
    read_timeout_s: float = pydantic.Field(default=60.0, gt=0, le=3600)
    attempts: int = pydantic.Field(default=4, ge=1, le=20)

    @pydantic.model_validator(mode="after")
    def _check_pairs(self) -> StorageOptions:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together; found one of them")
        if self.client_secret is not None and not (self.tenant_id and self.client_id):
            raise ValueError("client_secret needs tenant_id and client_id")
        if self.anonymous and any(
            isinstance(getattr(self, name), SecretRef) for name in type(self).model_fields
        ):
            raise ValueError("anonymous: true takes no credentials, found some; allowed: one or the other")
        return self

    def arguments(self, uri: str, what: str) -> dict[str, Any]:
        """fsspec's arguments for an address. They hold the secrets: never log or print them.

        Raises:
          ConfigError: an option that this kind of store does not know, or a secret that cannot be read.
        """
        protocol = uri.split("://", 1)[0] if "://" in uri else "file"
        family = _FAMILIES.get(protocol)
        given = [
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.default and name not in _PATIENCE
        ]
        strangers = sorted(set(given) - set(_USED_BY.get(family or "", ())))
        if strangers:
            allowed = ", ".join(_USED_BY[family]) if family else "none, since it is no object store"
            raise ConfigError(
                f"{what} {uri}: storage option '{strangers[0]}' does not apply; allowed: {allowed}"
            )
        builders = {"s3": self._s3, "gs": self._gs, "az": self._az}
        found = builders[family]() if family else {}
        return {key: value for key, value in found.items() if value is not None}

    def _s3(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.endpoint_url,
            "key": _text(self.access_key_id),
            "secret": _text(self.secret_access_key),
            "token": _text(self.session_token),
            "anon": self.anonymous or None,
            "client_kwargs": {"region_name": self.region} if self.region else None,
            "config_kwargs": {
                "connect_timeout": self.connect_timeout_s,
                "read_timeout": self.read_timeout_s,
                "retries": {"mode": "standard", "total_max_attempts": self.attempts},
            },
        }

    def _gs(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.endpoint_url,
            "project": self.project,
            "token": "anon" if self.anonymous else self.token_file,
            "requests_timeout": self.read_timeout_s,
        }

    def _az(self) -> dict[str, Any]:
        return {
            "account_name": self.account_name,
            "account_key": _text(self.account_key),
            "connection_string": _text(self.connection_string),
            "sas_token": _text(self.sas_token),
            "tenant_id": self.tenant_id,
            "client_id": self.client_id,
            "client_secret": _text(self.client_secret),
            "anon": self.anonymous or None,
            "connection_timeout": int(self.connect_timeout_s) or 1,
            "read_timeout": int(self.read_timeout_s) or 1,
        }


_PATIENCE = ("connect_timeout_s", "read_timeout_s", "attempts")
DEFAULT_OPTIONS = StorageOptions()


def _text(secret: SecretRef | None) -> str | None:
    return None if secret is None else secret.read().decode("utf-8", "surrogateescape")
