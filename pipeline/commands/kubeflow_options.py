"""Options of the commands that speak to a Kubeflow Pipelines API, and the API that they name."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from pipeline.kfp_api.client import Api

#: An option without a default worth showing.
plain = functools.partial(typer.Option, show_default=False)

EndpointOption = Annotated[
    Optional[str],
    plain(help="Address of the API, such as http://localhost:8888; or ISTHMUS_KFP_ENDPOINT."),
]
NamespaceOption = Annotated[str, typer.Option(help="Namespace, where KFP has several users.")]
TokenFileOption = Annotated[
    Optional[Path],
    plain(help="File with a bearer token; or ISTHMUS_KFP_TOKEN_FILE."),
]
TokenVariableOption = Annotated[
    Optional[str],
    plain("--token-env", help="Environment variable with a bearer token."),
]
AuthoritiesOption = Annotated[
    Optional[Path],
    plain("--ca-file", help="Authorities of the server's certificate, PEM."),
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Do not verify the certificate; send a token over http too.")
]
TimeoutOption = Annotated[
    Optional[float],
    plain(min=0, help="Seconds to watch at most; the run goes on."),
]
PollOption = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")]


def api_of(
    endpoint: str | None,
    namespace: str,
    token_file: Path | None,
    token_variable: str | None,
    ca_file: Path | None,
    insecure: bool,
) -> Api:
    """The API that the options and the environment name; opens no connection.

    Raises:
      ConfigError: no address, a token that cannot be read or would travel in the clear, a wrong CA file.
    """
    from pipeline.kfp_api.client import Api
    from pipeline.kfp_api.connection import connect

    connection = connect(
        endpoint,
        namespace=namespace,
        token_file=token_file,
        token_variable=token_variable,
        ca_file=ca_file,
        insecure=insecure,
    )
    if insecure:
        print(f"WARNING: {connection.endpoint}: --insecure: whoever listens in is trusted", file=sys.stderr)
    return Api(connection)
