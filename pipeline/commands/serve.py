"""`isthmus serve`: the detector behind HTTP, as KServe's predictor or anywhere else."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from components.errors import ConfigError, ReleaseError


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(serve)


def serve(
    model_dir: Annotated[
        str, typer.Option(help="Folder or URI of one version.", envvar="ISTHMUS_MODEL_DIR")
    ] = "/mnt/models",
    trusted_key: Annotated[
        Optional[list[str]],
        typer.Option(help="Public key of the centre, or its file; repeatable.", envvar="ISTHMUS_TRUSTED_KEY"),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Under which it is served.", envvar="ISTHMUS_MODEL_NAME")
    ] = "detector",
    content_digest: Annotated[
        str, typer.Option(help="Serve this content only.", envvar="ISTHMUS_CONTENT_DIGEST")
    ] = "",
    exchange: Annotated[str, typer.Option(help="Where revocations are.", envvar="ISTHMUS_EXCHANGE")] = "",
    locale_key: Annotated[
        Optional[list[str]],
        typer.Option(help="LOCALE=KEY: who may revoke; repeatable.", envvar="ISTHMUS_LOCALE_KEYS"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    max_rows: Annotated[int, typer.Option(min=1, help="Of one request.")] = 100_000,
    max_mb: Annotated[int, typer.Option(min=1, help="Of one request's body, in MiB.")] = 64,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait.")] = 8,
    check_s: Annotated[float, typer.Option(min=1, help="Between two looks at the revocations.")] = 300.0,
    drain_s: Annotated[float, typer.Option(min=0, help="Not ready, and still open, at the end.")] = 5.0,
) -> None:
    """Serve one version of the detector over KServe's protocols V1 and V2; verified first."""
    import asyncio

    from components.release.keys import load_public_key
    from pipeline.serving import app
    from pipeline.serving.loading import load_served
    from pipeline.serving.predictor import Limits, Predictor
    from pipeline.serving.revocation import revocation_list

    app.log_to_stderr()
    keys = [load_public_key(text) for text in trusted_key or []]
    revocations = revocation_list(exchange, locale_key or [])
    served = load_served(model_dir, keys, content_digest)
    limits = Limits(max_mb << 20, max_rows, waiting, check_s=check_s, drain_s=drain_s)
    predictor = Predictor(name, served, limits, revocations)
    predictor.check_revocations()
    if predictor.revoked:
        raise ReleaseError(f"{model_dir}: {predictor.revoked}. It is not served.")
    try:
        asyncio.run(app.serve(predictor, host, port))
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror or error}; choose another") from None
