"""`isthmus policy`, `request`, `approve`, `reject` and `audit`: people's say over a locale's releases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from components.errors import ConfigError, DataError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json

if TYPE_CHECKING:
    from components.governance.core.audit import AuditLog
    from components.governance.core.audit_state import ReleaseState
    from components.release.keys import PrivateKey

LocaleOption = Annotated[str, typer.Option(help="The locale.", show_default=False)]
KeyOption = Annotated[Optional[Path], typer.Option(help="Your private key: a file.", show_default=False)]
KeyEnvOption = Annotated[
    Optional[str], typer.Option(help="Your private key: an environment variable.", show_default=False)
]
NoteOption = Annotated[str, typer.Option(help="Why, in words; goes into the audit log.")]
ReleaseArgument = Annotated[str, typer.Argument(help="Release id, or its beginning.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask whether you have read it.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    for command in (policy, request, approve, reject, audit):
        app.command()(command)


def policy(
    config: ConfigArgument,
    locale: LocaleOption,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Put the file's policy in force, as an owner.")
    ] = False,
    key: KeyOption = None,
    key_env: KeyEnvOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who may do what in a locale, or adopt a changed policy file."""
    from components.governance.core.policy import load_policy

    deployment = load(config)
    log, path = _log(deployment, locale)
    found = load_policy(path, locale)
    if adopt:
        found.check_quorum(_required(deployment, locale, found), f"locale {locale}: governance")
        log.adopt(_key(key, key_env), found)
    in_force = log.state().policy
    if as_json:
        print_json(
            {
                "in_force": in_force.model_dump(mode="json") if in_force else None,
                "file": found.model_dump(mode="json"),
                "same": in_force == found,
            }
        )
        return
    for person in found.people:
        print(f"{person.name}: {', '.join(person.roles)} (key {person.public.key_id})")
    print(f"required approvals: {_required(deployment, locale, found)}")
    print("in force" if in_force == found else "NOT in force: an owner adopts it with --adopt --key ...")


def request(
    config: ConfigArgument,
    locale: LocaleOption,
    release: Annotated[str, typer.Argument(help="Release id; all that wait where none is given.")] = "",
    key: KeyOption = None,
    key_env: KeyEnvOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what waits for approval; with your key, request the approval of a release."""
    deployment = load(config)
    log, _ = _log(deployment, locale)
    if key is None and key_env is None:
        states = list(log.state().releases.values())
        found = (
            [_find(log, release)] if release else [x for x in states if x.status in ("pending", "requested")]
        )
    else:
        waiting = _find(log, release) if release else _only_one(log, locale)
        found = [log.request(_key(key, key_env), waiting.content_digest, note)]
    if as_json:
        print_json([_as_json(log, item) for item in found])
        return
    for item in found:
        print("\n".join(_words(log, item)))
    if not found:
        print("nothing waits for approval")


def approve(
    config: ConfigArgument,
    release: ReleaseArgument,
    locale: LocaleOption,
    key: KeyOption = None,
    key_env: KeyEnvOption = None,
    note: NoteOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Approve a requested release: exactly these bytes, signed with your key."""
    _decide("approve", config, release, locale, _key(key, key_env), note, yes, as_json)


def reject(
    config: ConfigArgument,
    release: ReleaseArgument,
    locale: LocaleOption,
    key: KeyOption = None,
    key_env: KeyEnvOption = None,
    note: NoteOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Reject a requested release; it is not published unless somebody requests it again."""
    _decide("reject", config, release, locale, _key(key, key_env), note, yes, as_json)


def audit(
    config: ConfigArgument,
    locale: Annotated[Optional[str], typer.Option(help="Only this locale.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the budget ledgers and audit logs, against one another and the exchange; list who did what."""
    from pipeline import governance

    deployment = load(config)
    found = {name: governance.examine(deployment, name) for name in governance.chosen(deployment, locale)}
    if as_json:
        print_json(found)
    else:
        for name, logs in found.items():
            print("\n".join(_audit_words(name, logs)))
    if any(log["error"] for logs in found.values() for log in logs.values()):
        raise typer.Exit(1)


def _decide(
    decision: Literal["approve", "reject"],
    config: Path,
    release: str,
    locale: str,
    key: PrivateKey,
    note: str,
    yes: bool,
    as_json: bool,
) -> None:
    from components.governance.clearance import policy_in_force
    from pipeline import governance

    deployment = load(config)
    log, _ = _log(deployment, locale)
    settings = governance.config_of(deployment, locale)
    assert settings is not None  # `_log` refused otherwise
    policy_in_force(settings, log.state())
    found = _find(log, release)
    shown = _words(log, found)  # before the question, and refused where it was altered
    if not as_json:
        print("\n".join(shown))
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise ConfigError("--yes: missing; without a terminal to ask, say that you have read it")
        if not typer.confirm(f"{decision} release {found.release_id}?"):
            raise typer.Exit(1)
    decided = log.decide(key, found.content_digest, decision, note)
    if as_json:
        print_json(_as_json(log, decided))
    else:
        outcome = f"{len(decided.approvals)} approvals" if decision == "approve" else "rejected"
        print(f"{decision}: recorded; {outcome}. `isthmus run` goes on from here.")


def _log(deployment: Any, locale: str) -> tuple[AuditLog, str]:
    """A locale's audit log, and its policy file.

    Raises:
      ConfigError: there is no such locale, or nobody has to approve its releases.
    """
    from pipeline import governance

    governance.chosen(deployment, locale)
    found, settings = governance.audit_of(deployment, locale), governance.config_of(deployment, locale)
    if found is None or settings is None or settings.policy_file is None:
        raise ConfigError(
            f"locale {locale}: nobody has to approve its releases (governance.policy is not set)"
        )
    return found, settings.policy_file


def _required(deployment: Any, locale: str, found: Any) -> int:
    section = deployment.locale(locale).governance
    return max(section.required_approvals, found.required_approvals)


def _key(file: Path | None, env: str | None) -> PrivateKey:
    from components.release.keys import load_private_key
    from components.secrets import SecretRef

    if (file is None) == (env is None):
        raise ConfigError("--key: found neither or both; allowed: one of --key FILE and --key-env NAME")
    return load_private_key(SecretRef(file=str(file)) if file else SecretRef(env=env))


def _find(log: AuditLog, release: str) -> ReleaseState:
    found = [
        item
        for item in log.state().releases.values()
        if item.content_digest.startswith(release) and item.summary_sha256
    ]
    if len(found) != 1:
        problem = "no release" if not found else f"{len(found)} releases"
        raise DataError(f"{log.place}: {problem} '{release}'; `isthmus request` lists what waits.")
    return found[0]


def _only_one(log: AuditLog, locale: str) -> ReleaseState:
    waiting = [x for x in log.state().releases.values() if x.status in ("pending", "rejected")]
    if len(waiting) != 1:
        raise DataError(f"{log.place}: {len(waiting)} releases wait to be requested; name one.")
    return waiting[0]


def _as_json(log: AuditLog, found: ReleaseState) -> dict[str, Any]:
    import dataclasses

    from components.governance.clearance import read_summary

    plain = dataclasses.asdict(found)
    plain["requester"] = found.requester.model_dump() if found.requester else None
    plain["rejected_by"] = found.rejected_by.model_dump() if found.rejected_by else None
    for item, approval in zip(plain["approvals"], found.approvals, strict=True):
        item["by"] = approval.by.model_dump()
    return {**plain, "summary": read_summary(log.chain.path.parent, found)}


def _words(log: AuditLog, found: ReleaseState) -> list[str]:
    from components.governance.clearance import read_summary
    from pipeline.commands.people_words import summary_words

    by = f" by {found.requester.name}" if found.requester else ""
    approvals = ", ".join(approval.by.name for approval in found.approvals) or "nobody yet"
    lines = [f"release {found.release_id} of span {found.span}: {found.status}{by}; approved by {approvals}"]
    return lines + [f"  {line}" for line in summary_words(read_summary(log.chain.path.parent, found))]


def _audit_words(name: str, logs: dict[str, Any]) -> list[str]:
    if not logs:
        return [f"{name}: no budget and no policy, so no logs"]
    lines = []
    for which, log in logs.items():
        verdict = f"BROKEN: {log['error']}" if log["error"] else f"verified, {len(log['entries'])} entries"
        lines.append(f"{name}: {which}: {verdict}")
        lines += [f"  {e['at']}  {e['who']}  {e['what']}" for e in log["entries"]]
    return lines
