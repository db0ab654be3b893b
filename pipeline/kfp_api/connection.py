"""How to reach a KFP API: address, namespace, token by reference, TLS, time limits."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from components.errors import ConfigError
from pipeline.hosts import is_in_cluster, is_near

ENDPOINT_VARIABLE = "ISTHMUS_KFP_ENDPOINT"
TOKEN_FILE_VARIABLE = "ISTHMUS_KFP_TOKEN_FILE"
#: Where a pod finds the token that the kubelet renews for KFP; name and default as in kfp 2.5,
#: `kfp/client/set_volume_credentials.py`.
POD_TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
POD_TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
#: Seconds to connect and to wait for an answer; a spec of 1 MiB is compiled by the server meanwhile.
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0


@dataclass(frozen=True)
class Connection:
    """An address and what proves who we are.

    Attributes:
      endpoint: `http(s)://host[:port][/prefix]`, no slash at the end.
      namespace: Of the experiments and runs; empty for a single-user installation.
      token_file: Read before every request: tokens in pods are renewed.
      token_variable: Environment variable that holds the token, where there is no file.
      ca_file: Authorities in PEM form; None for the usual ones.
      insecure: Neither verify the certificate nor mind a token in the clear.
      seconds: Time limits to connect and to read.
    """

    endpoint: str
    namespace: str = ""
    token_file: Path | None = None
    token_variable: str | None = None
    ca_file: Path | None = None
    insecure: bool = False
    seconds: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS)

    @property
    def has_token(self) -> bool:
        """Whether requests carry a token."""
        return self.token_file is not None or self.token_variable is not None

    def token(self) -> str:
        """The token as it stands now; empty where there is none.

        Raises:
          ConfigError: the file or the variable cannot be read, is empty, or holds more than one line.
        """
        if self.token_file is not None:
            place = str(self.token_file)
            try:
                text = self.token_file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "not text"
                raise ConfigError(f"{place}: token file cannot be read ({why})") from None
        elif self.token_variable is not None:
            place = f"environment variable {self.token_variable}"
            text = os.environ.get(self.token_variable, "")
        else:
            return ""
        token = text.strip()
        if not token or len(token.split()) != 1 or not token.isascii():
            raise ConfigError(f"{place}: holds no token; allowed: one word of ASCII letters")
        return token


def connect(
    endpoint: str | None,
    *,
    namespace: str = "",
    token_file: Path | None = None,
    token_variable: str | None = None,
    ca_file: Path | None = None,
    insecure: bool = False,
) -> Connection:
    """Checks and completes what the command line and the environment say. Opens no connection.

    Raises:
      ConfigError: no address, or one of another form; a token that would travel in the clear; a CA file
        that holds no certificates; two sources of a token.
    """
    address = _endpoint(endpoint or os.environ.get(ENDPOINT_VARIABLE, ""))
    if token_file and token_variable:
        raise ConfigError("--token-file and --token-env: both given; allowed: one of them")
    if not token_variable:
        token_file = token_file or _token_file_from_environment(address)
    connection = Connection(address, namespace, token_file, token_variable or None, ca_file, insecure)
    connection.token()
    host = urlsplit(address).hostname or ""
    if connection.has_token and not insecure and address.startswith("http://") and not is_near(host):
        raise ConfigError(
            f"{address}: a token would travel in the clear; allowed: https://, an address of this machine or "
            "of the cluster (*.svc), or --insecure"
        )
    if ca_file is not None:
        _check_authorities(ca_file)
    return connection


def _endpoint(text: str) -> str:
    allowed = "allowed: http(s)://host[:port][/prefix], such as http://localhost:8888"
    if not text:
        raise ConfigError(f"--endpoint: missing, and {ENDPOINT_VARIABLE} is not set; {allowed}")
    parts = urlsplit(text)
    try:
        port_is_wrong = parts.port == 0
    except ValueError:
        port_is_wrong = True
    if parts.username or parts.password:
        raise ConfigError(f"--endpoint: holds a user or a password; {allowed}, and the token in a file")
    if parts.scheme not in ("http", "https") or not parts.hostname or port_is_wrong:
        raise ConfigError(f"--endpoint {text}: not an address; {allowed}")
    if parts.query or parts.fragment:
        raise ConfigError(f"--endpoint {text}: a page of the UI; {allowed}")
    return text.rstrip("/")


def _token_file_from_environment(address: str) -> Path | None:
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    if named:
        return Path(named)
    # The pod's own token goes to services of the cluster only, wherever the address came from.
    pod = Path(os.environ.get(POD_TOKEN_VARIABLE) or POD_TOKEN_FILE)
    return pod if pod.is_file() and is_in_cluster(urlsplit(address).hostname or "") else None


def _check_authorities(path: Path) -> None:
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else "no certificates in PEM form"
        raise ConfigError(f"--ca-file {path}: {why}; allowed: certificates in PEM form") from None
