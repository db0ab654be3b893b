"""What a locale demands before anything of it is published: a privacy budget, and people's consent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from components.config_base import ComponentConfig
from components.secrets import SecretRef

Cadence = Literal["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]
#: Outcomes of a Pusher that a person has to act on: neither done nor wrong.
WAITING = "waiting for approval"
REJECTED = "rejected"

#: Days between two releases.
CADENCE_DAYS: dict[str, float] = {
    "hourly": 1 / 24,
    "daily": 1.0,
    "weekly": 7.0,
    "monthly": 365.25 / 12,
    "quarterly": 365.25 / 4,
    "yearly": 365.25,
}


class BudgetConfig(ComponentConfig):
    """How much all releases of a locale together may cost any one privacy unit.

    Attributes:
      epsilon: Largest epsilon, at `delta`, of all releases composed; dimensionless.
      delta: Probability with which epsilon may not hold.
      unit: Whose presence is protected: one `record`, one `window` of rows, or a whole `series`.
      neighboring_relation: What neighbouring data sets are, as `dp_accounting` has them.
      cadence: How often the locale releases; for `isthmus budget`'s forecast only.
    """

    epsilon: float = pydantic.Field(gt=0)
    # Smaller than one over the number of units, or a whole unit may leak at no cost (Dwork and Roth
    # 2014, section 2.3); no default, because that number is the locale's to know.
    delta: float = pydantic.Field(gt=0, lt=1)
    unit: Literal["record", "window", "series"]
    neighboring_relation: Literal["add_or_remove_one", "replace_one", "replace_special"] = "add_or_remove_one"
    cadence: Cadence | None = None

    def same_limit(self, other: BudgetConfig) -> bool:
        """Whether both allow the same; the cadence allows nothing."""
        return self.model_copy(update={"cadence": None}) == other.model_copy(update={"cadence": None})


class GovernanceSection(ComponentConfig):
    """People's say over a locale's releases.

    Attributes:
      policy: The locale's own policy file: who may do what, by public key. The central configuration
        names the file and cannot weaken it.
      required_approvals: Approvals that a release needs at least; the policy may demand more.
    """

    policy: str = pydantic.Field(min_length=1)
    required_approvals: int = pydantic.Field(default=1, ge=0, le=20)


def _as_reference(value: Any) -> Any:
    inline = isinstance(value, str) and (value.startswith("ed25519:") or "BEGIN PUBLIC KEY" in value)
    return {"file": value} if isinstance(value, str) and not inline else value


#: A file that is only read. A path becomes a reference; the text of a key stays text.
FileReference = Annotated[SecretRef, pydantic.BeforeValidator(_as_reference)]
KeyReference = Annotated[SecretRef | str, pydantic.BeforeValidator(_as_reference)]


class RetentionConfig(ComponentConfig):
    """How long a locale keeps what; null keeps it for good. Ages are those of the files.

    Attributes:
      examples_days: Real rows and what describes them exactly: examples, quarantine, statistics,
        validation and evaluation results.
      models_days: Trained synthesizers.
      releases_days: Releases in the exchange.
      logs_days: Logs of runs.
    """

    examples_days: float | None = pydantic.Field(default=None, gt=0)
    models_days: float | None = pydantic.Field(default=None, gt=0)
    releases_days: float | None = pydantic.Field(default=None, gt=0)
    logs_days: float | None = pydantic.Field(default=None, gt=0)


class GovernanceConfig(ComponentConfig):
    """Where a locale's ledger and audit log are, for the components that write them.

    The budget itself is not here: the ledger holds it, so that a raised budget trains nothing anew.
    Files that are only read stand as references, as secrets do: the border's check of the graph lets a
    restricted locale's nodes name no other place outside the locale's root.

    Attributes:
      locale: The locale's name.
      folder: `<root>/<locale>/governance`, on a file system with locks and fsync; never the exchange.
      trusted_keys: The locale's public keys, texts or references to files (a path becomes one); more
        than one after a change of keys.
      budget_unit: The privacy unit of the ledger; None where the locale has no budget.
      policy: Reference to the locale's policy file; None where no approval is asked for.
      required_approvals: As the deployment says; the policy may demand more.
    """

    locale: str
    folder: str = pydantic.Field(min_length=1)
    trusted_keys: tuple[KeyReference, ...] = pydantic.Field(min_length=1)
    budget_unit: Literal["record", "window", "series"] | None = None
    policy: FileReference | None = None
    required_approvals: int = pydantic.Field(default=0, ge=0)

    @property
    def policy_file(self) -> str | None:
        """Path of the policy file."""
        return self.policy.file if self.policy else None


class LedgerAccess(ComponentConfig):
    """What a component needs to write in the ledger.

    Attributes:
      governance: Where it is.
      signing_key: The locale's Ed25519 private key.
    """

    governance: GovernanceConfig
    signing_key: SecretRef
