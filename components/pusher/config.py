"""Configuration of the two Pushers: a region's into the exchange, the centre's into the registry."""

from __future__ import annotations

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.egress.config import EgressConfig
from components.governance.config import GovernanceConfig
from components.release.manifest import ReleaseKind
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.privacy import PrivacyClaim
from components.secrets import SecretRef
from components.synthesizer_trainer.config import RareEventsConfig


class PusherConfig(ComponentConfig):
    """Configuration of a region's Pusher.

    Attributes:
      kind: `synthetic` (restricted locale: needs a BLESSED evaluation) or `open` (the validated rows).
      exchange_uri: The exchange; anything fsspec opens.
      signing_key: The locale's Ed25519 private key; made by a person (`isthmus keys new`), or by the
        runner where the deployment says `create_key`.
      config_digest: SHA-256 of the deployment's configuration, written into the manifest.
      privacy: What the synthesizer's accountant counted, for the privacy statement; None states that there
        is no differential privacy.
      storage: How to reach the exchange.
      dataset: The columns that may leave; without it neither columns nor values are judged, so the
        border check refuses a restricted locale's pipeline that gives none.
      egress: What the locale lets out.
      governance: The locale's budget ledger and approvals; None where it has neither.
      operator_holds_rows: The manifest says that this border is a simulation (`central.ideal`).
      rare_events: What the synthesizer does with kinds of anomaly of few windows, for the privacy statement;
        None says nothing.
    """

    kind: ReleaseKind
    exchange_uri: str = pydantic.Field(min_length=1)
    signing_key: SecretRef
    config_digest: str = pydantic.Field(default="", pattern=r"^([0-9a-f]{64})?$")
    privacy: PrivacyClaim | None = None
    storage: StorageOptions = DEFAULT_OPTIONS
    dataset: DatasetConfig | None = None
    egress: EgressConfig = EgressConfig()
    operator_holds_rows: bool = False
    governance: GovernanceConfig | None = None
    rare_events: RareEventsConfig | None = None

    @pydantic.model_validator(mode="after")
    def _check_privacy(self) -> PusherConfig:
        if self.privacy is not None and self.kind == "open":
            raise ValueError("privacy is about synthetic rows; an open locale releases its rows themselves")
        mode = self.egress.sketch.mode
        budgeted = self.governance is not None and self.governance.budget_unit is not None
        if mode == "suppressed" and (self.privacy is not None or budgeted):
            raise ValueError(
                "egress.sketch.mode is suppressed, which has no bound; allowed with an epsilon: withheld, "
                "noised"
            )
        if mode == "noised" and not budgeted:
            raise ValueError("egress.sketch.mode is noised; allowed with a budget that pays for it")
        if mode != "withheld" and (self.kind == "open" or self.dataset is None):
            raise ValueError("egress.sketch is of a restricted locale, whose columns are known")
        return self


class ModelPusherConfig(ComponentConfig):
    """Configuration of the centre's Pusher.

    Attributes:
      registry_uri: The registry; anything fsspec opens.
      storage: How to reach it.
      signing_key: The centre's Ed25519 private key; without one, versions are not signed.
      name: Name of the model; versions are `<registry>/<name>/1`, `2`, ...
      config_digest: SHA-256 of the deployment's configuration, written into the manifest.
    """

    registry_uri: str = pydantic.Field(min_length=1)
    storage: StorageOptions = DEFAULT_OPTIONS
    signing_key: SecretRef | None = None
    name: str = pydantic.Field(default="detector", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")
    config_digest: str = pydantic.Field(default="", pattern=r"^([0-9a-f]{64})?$")
