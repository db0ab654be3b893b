"""`isthmus verify` and `isthmus revoke`: what a person does with one release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from components.errors import ConfigError
from pipeline.commands.shared import JsonOption, load, print_json

if TYPE_CHECKING:
    from components.release.keys import PrivateKey, PublicKey
    from components.release.manifest import Manifest
    from components.release.options import StorageOptions

ReleaseArgument = Annotated[str, typer.Argument(help="Folder or URI of a release.", show_default=False)]
ConfigOption = Annotated[
    Optional[Path], typer.Option("--config", help="Deployment file: the locale's keys, and the exchange's.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command()(verify)
    app.command()(revoke)


def verify(
    release: ReleaseArgument,
    key: Annotated[
        Optional[list[str]],
        typer.Option(
            help="The locale's public key: a file, or the key itself; repeatable.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a release offline: files, digests, signature, revocation; say in words what was checked."""
    from components.release.keys import load_public_key
    from components.release.verify import RevokedReleaseError, verify_copy

    keys = [load_public_key(text) for text in key or []]
    if config is not None:
        keys += _trusted_keys(config, release)
    revocation = None
    try:
        found = verify_copy(release, keys, options=_options(config))
    except RevokedReleaseError as error:
        found, revocation = error.release, error.revocation
    verified = bool(keys) and revocation is None
    manifest = found.manifest
    if as_json:
        print_json(
            {
                "release": release,
                "verified": verified,
                "revoked": revocation.model_dump(mode="json") if revocation else None,
                "checked": list(found.checks),
                "warnings": list(found.warnings),
                "manifest": manifest.model_dump(mode="json"),
                "manifest_sha256": found.manifest_sha256,
            }
        )
    else:
        _print_verified(found.checks, found.warnings, manifest)
        if revocation:
            print(f"REVOKED at {revocation.revoked_at} by key {revocation.key_id}: {revocation.reason}")
        else:
            print("verified" if verified else "not verified: no key was given")
    if not verified:
        raise typer.Exit(1)


def _print_verified(checks: tuple[str, ...], warnings: tuple[str, ...], manifest: Manifest) -> None:
    print("Checked:")
    for sentence in checks:
        print(f"- {sentence}")
    print("What it says of privacy:")
    for sentence in manifest.privacy.sentences:
        print(f"- {sentence}")
    if manifest.approver:
        print(f"Approved by {manifest.approver.name} at {manifest.approver.decided_at}.")
    for sentence in warnings:
        print(f"warning: {sentence}")


def revoke(
    release: ReleaseArgument,
    reason: Annotated[str, typer.Option(help="Why, in words that may leave the locale.", show_default=False)],
    key: Annotated[
        Optional[Path], typer.Option(help="File of a private key of the locale.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a release back: lay a signed note beside it. Nothing is deleted; the next merge refuses it."""
    from components.release.revoke import revoke_release
    from components.release.storage import open_store

    if key is None and config is None:
        raise ConfigError("revoke: nothing to sign with; allowed: --key FILE or --config FILE")
    signing, trusted = _signing_key(key, config, release)
    done = revoke_release(open_store(release, "release", _options(config)), signing, reason)
    note = done.note
    warning = ""
    if done.signer != note.key_id and note.key_id not in {known.key_id for known in trusted}:
        warning = (
            f"the release was signed with key {done.signer}; the centre honours this note only if it trusts "
            f"key {note.key_id} for locale {note.locale}"
        )
    if as_json:
        print_json(
            {
                "release": release,
                "outcome": done.outcome,
                "revocation": done.uri,
                "warning": warning,
                "note": note.model_dump(mode="json"),
            }
        )
        return
    print(f"{done.outcome}: {done.uri}")
    print(f"signed by key {note.key_id}; the next merge refuses content {note.content_digest[:12]}")
    if warning:
        print(f"warning: {warning}")


def _options(config: Path | None) -> StorageOptions:
    from components.release.options import DEFAULT_OPTIONS

    return DEFAULT_OPTIONS if config is None else load(config).exchange.storage_options


def _locale_of(config: Path, release: str) -> Any:
    """The locale of the deployment that the release's path names: `.../<locale>/span-<n>/<release>`."""
    path = release if "://" in release else str(Path(release).resolve())
    parts = path.rstrip("/").split("/")
    name = parts[-3] if len(parts) >= 3 else ""
    deployment = load(config)
    for locale in deployment.locales:
        if locale.name == name:
            return locale
    known = ", ".join(locale.name for locale in deployment.locales)
    raise ConfigError(
        f"{config}: found no locale '{name}', which the path of the release names; allowed: {known}"
    )


def _trusted_keys(config: Path, release: str) -> list[PublicKey]:
    from components.release.trust import load_keys

    keys, problems = load_keys(_locale_of(config, release).trusted_key)
    if not keys:
        raise ConfigError(f"{config}: trusted_key: {problems[0]}")
    return list(keys)


def _signing_key(key: Path | None, config: Path | None, release: str) -> tuple[PrivateKey, list[PublicKey]]:
    from components.release.keys import load_private_key
    from components.secrets import SecretRef

    trusted = _trusted_keys(config, release) if config is not None else []
    if key is not None:
        return load_private_key(SecretRef(file=str(key))), trusted
    assert config is not None
    return load_private_key(_locale_of(config, release).signing_key), trusted
