"""The Kubeflow Model Registry over its REST API: find by name, make what is missing, no more.

Source: kubeflow/model-registry (now kubeflow/hub), api/openapi/model-registry.yaml of v1alpha3 at commit
00a8ece. For us, v1 differs in the prefix alone (kubeflow/hub issue 2992; the client model-registry 0.3.18
speaks it). What the server answers is read as far as `id`, `customProperties`, `message` and what we set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from components.errors import ConfigError, DataError
from components.release.canonical import printable
from components.secrets import SecretRef
from pipeline.hosts import is_near

#: Versions of the API that we can speak.
APIS = ("v1alpha3", "v1")
#: A full answer is some kilobytes.
_TIMEOUT_S = (10.0, 60.0)
_ATTEMPTS = 5
_RETRIED = (429, 502, 503, 504)
#: What a model of ours is called there, and the version of its form.
FORMAT_NAME, FORMAT_VERSION = "isthmus-detector", "1"


@dataclass(frozen=True)
class Registration:
    """What is to be registered.

    Attributes:
      model: Name of the registered model.
      version: Name of the version.
      uri: Where the version is.
      properties: Custom properties of the version and its artifact; text or numbers.
      content_digest: SHA-256 (hex): a version of that name with another digest is another thing.
      description: One line for people.
      namespace: Kubernetes namespace that the model comes from; empty where it is not said.
    """

    model: str
    version: str
    uri: str
    properties: Mapping[str, str | float]
    content_digest: str
    description: str = ""
    namespace: str = ""


class ModelRegistry:
    """One server.

    Args:
      endpoint: `https://host[:port]`; `http` for a service inside the cluster.
      token: Where the bearer token is, or None.
      ca_file: Certificates to check the server against; None: the machine's.
      api: One of `APIS`.
      backoff_s: Unit of the growing pause between attempts, in seconds.

    Raises:
      ConfigError: the endpoint is no address, or a token would go over an open network in the clear.
    """

    def __init__(
        self,
        endpoint: str,
        token: SecretRef | None = None,
        ca_file: str | None = None,
        api: str = APIS[0],
        backoff_s: float = 0.5,
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ConfigError("--endpoint: no address; allowed: https://HOST[:PORT]")
        if token is not None and parts.scheme == "http" and not is_near(parts.hostname):
            raise ConfigError(
                f"--endpoint {parts.hostname}: a token over http; allowed: https, or a service of the cluster"
            )
        if api not in APIS:
            raise ConfigError(f"--api {printable(api)[:40]}: not known; allowed: {', '.join(APIS)}")
        self._base = f"/api/model_registry/{api}"
        self.endpoint = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc or a proxy of the machine must not get the token
        self._session.headers["Accept"] = "application/json"
        if token is not None:
            secret = token.read().decode("ascii", "replace")
            if not secret.isprintable() or " " in secret or not secret.isascii():
                raise ConfigError(f"{token}: holds no token")
            self._session.headers["Authorization"] = f"Bearer {secret}"
        if ca_file is not None:
            self._session.verify = ca_file
        # Every request is safe to send twice: what was made the first time answers 409, and is looked up.
        retry = urllib3.Retry(
            total=_ATTEMPTS - 1,
            status_forcelist=_RETRIED,
            allowed_methods=None,
            backoff_factor=backoff_s,
            raise_on_status=False,
            redirect=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def register(self, wanted: Registration) -> dict[str, Any]:
        """Makes model, version and artifact, as far as they are not there; properties that changed are set.

        Returns:
          `model_id`, `version_id`, `artifact_id`, and `made`: which of the three this call made.

        Raises:
          ConfigError: the token or the address is not accepted.
          DataError: the server cannot be reached or refuses; or has that version with another content.
        """
        made: list[str] = []
        model = self._ensure(
            "registered_model", {"name": wanted.model}, "registered_models", {"name": wanted.model}, made
        )
        properties = {name: _value(value) for name, value in sorted(wanted.properties.items())}
        about: dict[str, Any] = {"customProperties": properties}
        if wanted.description:
            about["description"] = wanted.description
        version = self._ensure(
            "model_version",
            {"name": wanted.version, "parentResourceId": str(model["id"])},
            "model_versions",
            {"name": wanted.version, "registeredModelId": str(model["id"]), "state": "LIVE", **about},
            made,
        )
        self._refuse_other(wanted, version)
        self._update("model_versions", version, about)
        source = {"modelSourceKind": "isthmus", "modelSourceName": f"{wanted.model}/{wanted.version}"}
        if wanted.namespace:
            source["modelSourceGroup"] = wanted.namespace
        where = {
            "uri": wanted.uri,
            "modelFormatName": FORMAT_NAME,
            "modelFormatVersion": FORMAT_VERSION,
            **source,
            **about,
        }
        name = f"{wanted.model}-{wanted.version}"
        artifact = self._ensure(
            "model_artifact",
            {"name": name, "parentResourceId": str(version["id"])},
            f"model_versions/{version['id']}/artifacts",
            {"artifactType": "model-artifact", "name": name, "state": "LIVE", **where},
            made,
        )
        self._update("model_artifacts", artifact, where)
        ids = {"model_id": model["id"], "version_id": version["id"], "artifact_id": artifact["id"]}
        return {**{key: str(value) for key, value in ids.items()}, "made": made}

    def _ensure(
        self, find: str, by: Mapping[str, str], make: str, body: Mapping[str, Any], made: list[str]
    ) -> dict[str, Any]:
        """The entity of that name, made where there is none; someone else may make it in between."""
        found = self._call("GET", find, params=by, absent=404)
        if found is None:
            found = self._call("POST", make, body=body, absent=409)
            if found is not None:
                made.append(find)
            else:
                found = self._call("GET", find, params=by)
        if found is None or not str(found.get("id", "")).isdigit():
            raise DataError(f"{self.endpoint}: {find} without an id in the answer; is this a model registry?")
        return found

    def _refuse_other(self, wanted: Registration, version: Mapping[str, Any]) -> None:
        there = version.get("customProperties", {}).get("content_digest", {}).get("string_value", "")
        if there != wanted.content_digest:
            raise DataError(
                f"{self.endpoint}: {wanted.model} {wanted.version} is registered with content "
                f"{printable(str(there))[:12] or 'of no digest'}, not {wanted.content_digest[:12]}; a "
                "version does not change. Archive the one there, or register under another name."
            )

    def _update(self, what: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Sets what differs. Custom properties that others added stay."""
        changed = {name: value for name, value in wanted.items() if there.get(name) != value}
        if "customProperties" in changed:
            merged = {**there.get("customProperties", {}), **wanted["customProperties"]}
            if merged == there.get("customProperties"):
                del changed["customProperties"]
            else:
                changed["customProperties"] = merged
        if changed:
            kind = {"artifactType": "model-artifact"} if what == "model_artifacts" else {}
            self._call("PATCH", f"{what}/{there['id']}", body={**kind, **changed})

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        absent: int = 0,
    ) -> dict[str, Any] | None:
        """One request; None where the answer has the status `absent`."""
        try:
            response = self._session.request(
                method,
                f"{self.endpoint}{self._base}/{path}",
                params=dict(params or {}),
                json=body,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.exceptions.SSLError:
            raise DataError(
                f"{self.endpoint}: its certificate is not trusted; name its authority: --ca-file"
            ) from None
        except (requests.RequestException, OSError) as error:
            raise DataError(f"{self.endpoint}: cannot be reached ({type(error).__name__})") from None
        if response.status_code == absent:
            return None
        if response.status_code in (401, 403):
            raise ConfigError(
                f"{self.endpoint}: HTTP {response.status_code}; the token is not accepted there"
            )
        try:
            content = response.json()
        except ValueError:
            content = None
        if not response.ok or response.is_redirect or not isinstance(content, dict):
            said = content.get("message", "") if isinstance(content, dict) else ""
            words = " ".join(printable(str(said)).split())[:200]
            raise DataError(
                f"{self.endpoint}: {method} {path.split('/')[0]}: HTTP {response.status_code}"
                f"{f': {words}' if words else ''}"
            )
        return content


def _value(value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"metadataType": "MetadataStringValue", "string_value": value}
    return {"metadataType": "MetadataDoubleValue", "double_value": float(value)}
