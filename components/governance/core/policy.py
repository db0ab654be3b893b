"""The policy of a locale: who may do what, by public key. The locale owns the file.

    version: 1
    locale: eu-west
    required_approvals: 1
    people:
      - {name: Ada,    roles: [owner],     key: ed25519:6kK...}
      - {name: Benno,  roles: [scientist], key: benno.pub}
      - {name: Cleo,   roles: [approver],  key: cleo.pub}
      - {name: Dilnaz, roles: [auditor],   key: dilnaz.pub}

An *owner* adopts policies and gives reservations back. A *scientist* requests releases. An *approver*
approves or rejects them, never their own request. An *auditor* is named and decides nothing: reading
the logs needs no key.

A policy is in force once an owner has signed it into the audit log; editing the file alone changes
nothing but that no release passes until an owner adopts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pydantic
import yaml

from components.config_base import ComponentConfig
from components.errors import ConfigError
from components.release.keys import PublicKey, load_public_key
from components.strict_yaml import StrictLoader

Role = Literal["owner", "scientist", "approver", "auditor"]
MAX_POLICY_BYTES = 1 << 20


class Person(ComponentConfig):
    """One person.

    Attributes:
      name: As it appears in the audit log and in manifests.
      roles: What they may do.
      key: Their Ed25519 public key, `ed25519:` and base64; in the file also the path of a file with it,
        relative to the policy.
    """

    name: str = pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    roles: tuple[Role, ...] = pydantic.Field(min_length=1)
    key: str

    @property
    def public(self) -> PublicKey:
        """The key itself."""
        return load_public_key(self.key)


class Policy(ComponentConfig):
    """Who may do what in a locale.

    Attributes:
      version: Of this file's form.
      locale: The locale that it is for.
      required_approvals: Approvals that a release needs.
      people: Everyone with a role.
    """

    version: Literal[1] = 1
    locale: str
    required_approvals: int = pydantic.Field(default=1, ge=0, le=20)
    people: tuple[Person, ...] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="after")
    def _check_people(self) -> Policy:
        for what, values in (
            ("name", [person.name for person in self.people]),
            ("key", [person.public.key_id for person in self.people]),
        ):
            double = sorted({value for value in values if values.count(value) > 1})
            if double:
                # One person under two names, or with two keys, could approve their own request.
                raise ValueError(f"people: the {what} {double[0]} is given twice; allowed: each once")
        if not self.with_role("owner"):
            raise ValueError("people: nobody is an owner; allowed: at least one, who adopts the policy")
        return self

    def with_role(self, role: Role) -> list[Person]:
        """The people with a role."""
        return [person for person in self.people if role in person.roles]

    def by_key(self, key_id: str) -> Person | None:
        """The person with this key; None for a stranger."""
        return next((person for person in self.people if person.public.key_id == key_id), None)

    def check_quorum(self, required: int, place: str) -> None:
        """Checks that a release can be approved at all.

        Raises:
          ConfigError: too few approvers besides whoever requests.
        """
        approvers = {person.name for person in self.with_role("approver")}
        requesters = {person.name for person in (*self.with_role("scientist"), *self.with_role("owner"))}
        if not any(len(approvers - {requester}) >= required for requester in requesters):
            raise ConfigError(
                f"{place}: {required} approvals are required, and there are {len(approvers)} approvers; "
                "nobody approves their own request. Name more approvers, or require fewer approvals."
            )


def load_policy(path: str | Path, locale: str) -> Policy:
    """Reads a policy file; keys given as paths are read too.

    Raises:
      ConfigError: missing, no YAML, breaks a rule, or is another locale's. One line.
    """
    file = Path(path)
    place = f"policy {file}"
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read ({error.strerror}). The locale writes it.") from None
    if len(raw) > MAX_POLICY_BYTES:
        raise ConfigError(f"{place}: larger than {MAX_POLICY_BYTES} bytes; that is no policy.")
    try:
        data = yaml.load(raw, Loader=StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{place}{line}: {getattr(error, 'problem', None) or 'not YAML'}") from None
    people = data.get("people") if isinstance(data, dict) else None
    for person in people if isinstance(people, list) else []:
        if isinstance(person, dict) and isinstance(person.get("key"), str):
            person["key"] = _key_text(person["key"], file.parent, place)
    try:
        policy = Policy.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{place}: {where + ': ' if where else ''}{message}") from None
    if policy.locale != locale:
        raise ConfigError(f"{place}: is the policy of locale '{policy.locale}'; allowed: '{locale}'")
    return policy


def _key_text(text: str, folder: Path, place: str) -> str:
    """The `ed25519:` form of a key that is given in any form."""
    candidate = folder / text if not text.startswith(("ed25519:", "-----BEGIN")) else None
    try:
        if candidate is not None and candidate.exists():
            return load_public_key(str(candidate)).to_text()
        return load_public_key(text).to_text()
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
