"""`isthmus serve`, `serve-manifest`, `register-model`: the detector behind HTTP, and known to Kubeflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from components.errors import ConfigError, DataError, ReleaseError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

if TYPE_CHECKING:
    from pipeline.serving.loading import Served
    from pipeline.serving.recording import Recorder

VersionOption = Annotated[
    Optional[int], typer.Option(min=1, help="Of the detector; the newest where none is given.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(serve)
    app.command("serve-manifest")(serve_manifest)
    app.command("register-model")(register_model)


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
    max_mb: Annotated[int, typer.Option(min=1, help="Of one request's body, in MiB.")] = 32,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait.")] = 8,
    check_s: Annotated[float, typer.Option(min=1, help="Between two looks at the revocations.")] = 300.0,
    drain_s: Annotated[float, typer.Option(min=0, help="Not ready, and still open, at the end.")] = 5.0,
    record: Annotated[
        str, typer.Option(help="Folder for a profile of the rows asked about.", envvar="ISTHMUS_RECORD")
    ] = "",
    record_plan: Annotated[
        str, typer.Option(help="Bins of the training rows.", envvar="ISTHMUS_RECORD_PLAN")
    ] = "",
    record_s: Annotated[float, typer.Option(min=1, help="Between two writings of the record.")] = 60.0,
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
    recorder = _recorder(served, record, record_plan, record_s)
    predictor = Predictor(name, served, limits, revocations, recorder)
    predictor.check_revocations()
    if predictor.revoked:
        raise ReleaseError(f"{model_dir}: {predictor.revoked}. It is not served.")
    if recorder is not None:
        recorder.start()
    try:
        asyncio.run(app.serve(predictor, host, port))
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror or error}; choose another") from None
    finally:
        if recorder is not None:
            recorder.close()


def _recorder(served: Served, folder: str, plan_folder: str, every_s: float) -> Recorder | None:
    """The recorder that is asked for, not started; None without `--record`."""
    from pipeline.serving.recording import Recorder, Settings, read_plan

    if not folder:
        if plan_folder:
            raise ConfigError("--record-plan: needs --record, the folder to write to")
        return None
    config = served.detector.config
    plan = read_plan(plan_folder, config.dataset)
    locales = (*config.open_locales, *config.restricted_locales)
    return Recorder(Settings(Path(folder), every_s), plan, config.dataset, locales, served.content_digest)


def serve_manifest(
    config: ConfigArgument,
    version: VersionOption = None,
    out: Annotated[str, typer.Option("--out", "-o", help="File to write; - is stdout.")] = "-",
    name: Annotated[str, typer.Option(help="Of the InferenceService.")] = "detector",
    namespace: Annotated[str, typer.Option(help="Kubernetes namespace.")] = "isthmus-central",
    runtime: Annotated[str, typer.Option(help="Of the ServingRuntime.")] = "isthmus-detector",
    service_account: Annotated[str, typer.Option(help="Whose secrets read it.")] = "isthmus-detector",
    storage_uri: Annotated[
        str, typer.Option(help="Where KServe finds the version, if not at the registry's address.")
    ] = "",
    canary_percent: Annotated[
        Optional[int], typer.Option(min=1, max=99, help="Of the traffic; needs Knative.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a version of the detector as a KServe InferenceService, for git."""
    from components.executor_base import write_atomically
    from pipeline.registry_version import choose_version
    from pipeline.serving.manifest import Place, inference_service, to_yaml

    found = choose_version(load(config), version)
    place = Place(name, namespace, runtime, service_account, storage_uri, canary_percent)
    manifest = inference_service(found, place)
    if as_json:
        print_json(manifest)
    text = to_yaml(manifest)
    if out == "-":
        print("" if as_json else text, end="")
        return
    try:
        write_atomically(Path(out), text)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error})") from None


def register_model(
    config: ConfigArgument,
    endpoint: Annotated[str, typer.Option(help="https://HOST[:PORT] of the registry.", show_default=False)],
    version: VersionOption = None,
    name: Annotated[str, typer.Option(help="There; the model's own where none is given.")] = "",
    storage_uri: Annotated[str, typer.Option(help="Where the version is, seen from there.")] = "",
    namespace: Annotated[str, typer.Option(help="Kubernetes namespace that it comes from.")] = "",
    token_env: Annotated[str, typer.Option(help="Environment variable that holds the token.")] = "",
    token_file: Annotated[str, typer.Option(help="File that holds the token.")] = "",
    ca_file: Annotated[str, typer.Option(help="Certificates to check the server against.")] = "",
    api: Annotated[str, typer.Option(help="Version of its REST API: v1alpha3 or v1.")] = "v1alpha3",
    as_json: JsonOption = False,
) -> None:
    """Make a version of the detector known to the Kubeflow Model Registry; again changes nothing."""
    import sys

    from components.secrets import SecretRef
    from pipeline.registry_version import choose_version
    from pipeline.serving.description import describe
    from pipeline.serving.model_registry import ModelRegistry, Registration

    if token_env and token_file:
        raise ConfigError("--token-env, --token-file: both given; allowed: one of them")
    token = SecretRef(env=token_env or None, file=token_file or None) if token_env or token_file else None
    if ca_file and not Path(ca_file).is_file():
        raise ConfigError(f"--ca-file {ca_file}: no such file")
    server = ModelRegistry(endpoint, token, ca_file or None, api)
    deployment = load(config)
    found = choose_version(deployment, version)
    properties, notes = describe(found, deployment)
    for note in notes:
        print(f"WARNING: {note}", file=sys.stderr)
    wanted = Registration(
        model=name or deployment.central.model_name,
        version=str(found.number),
        uri=storage_uri or found.uri,
        properties=properties,
        content_digest=str(found.manifest["content_digest"]),
        description=f"Isthmus detector, version {found.number}, on releases of {properties['locales']}",
        namespace=namespace,
    )
    done = server.register(wanted)
    if as_json:
        print_json(
            {**done, "model": wanted.model, "version": found.number, "uri": wanted.uri, "notes": notes}
        )
        return
    made = ", ".join(done["made"]) or "nothing; it was there"
    print(
        f"{server.endpoint}: {wanted.model} {wanted.version}, version id {done['version_id']}; made: {made}"
    )
