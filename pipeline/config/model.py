"""The deployment file as typed, frozen models. Imports no TFX, so that `isthmus validate` is quick.

A deployment is complete on its own: no inheritance, no environment look-up, secrets by reference.
The sections `synthesizer`, `generation`, `gate`, `monitoring` and `central.detector` are the typed
configurations of the components that read them, less what the deployment already says (the data
set, the seed); `pipeline.config.resolve` puts the two together.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pydantic

from components.config_base import ComponentConfig
from components.data_quality.config import QualityConfig
from components.dataset import DatasetConfig
from components.example_gen.config import SourceConfig, SplitConfig
from components.governance.config import BudgetConfig, GovernanceSection, RetentionConfig
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.trust import TrustedKeys
from components.secrets import SecretRef
from components.skew_monitor.config import ServedRowsConfig
from pipeline.config.alerts import NO_ALERTS, AlertsSection, check_names
from pipeline.config.beam import BeamSection
from pipeline.config.kubeflow import NO_KUBEFLOW, KubeflowSection
from pipeline.config.metrics import NO_METRICS, MetricsSection
from pipeline.config.placement import NOWHERE, PlacementSection

#: Sections that another model checks; kept as given here, typed in `resolve`.
Section = dict[str, Any]

_LOCALE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,46}[A-Za-z0-9])?\Z")


def slug(name: str) -> str:
    """The form of a name that Kubernetes and TFX accept: lower-case letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class PrivacySection(ComponentConfig):
    """What a restricted locale demands of a release.

    Attributes:
      gate: The release gate's thresholds (`components.release_evaluator.config.GateConfig`);
        `{}` takes the defaults. A restricted locale must have one.
      budget: What all releases of the locale together may cost any one unit; null for no such bound.
      target_epsilon: Privacy loss of one release, dimensionless. Required by the synthesizer's methods
        `dp_linear` and `dp_gan`, refused without them; the unit is `synthesizer.dp.unit`.
      target_delta: Probability with which epsilon may not hold; goes with it.
    """

    gate: Section
    budget: BudgetConfig | None = None
    target_epsilon: float | None = pydantic.Field(default=None, gt=0)
    target_delta: float | None = pydantic.Field(default=None, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _check_both(self) -> PrivacySection:
        if (self.target_epsilon is None) != (self.target_delta is None):
            raise ValueError(
                "target_epsilon and target_delta mean something only together; allowed: both, or neither"
            )
        return self


class LocaleSection(ComponentConfig):
    """One unit of data residency.

    Attributes:
      name: BCP 47 tag or any name of letters, digits, `-` and `_`, at most 48.
      sharing: `restricted` (only gated synthetic releases leave) or `open` (validated rows leave).
      source: Where its rows are (`components.example_gen.config.SourceConfig`).
      span: Which span to run: a number, or `latest`.
      pii: Policy per column, applied before anything is stored
        (`components.example_gen.config.PiiRule`).
      privacy: Required for a restricted locale, refused for an open one.
      egress: What of a restricted locale may leave, and in which form
        (`components.egress.config.EgressConfig`).
      governance: Who has to approve its releases, by the locale's own policy file; null for nobody.
      retention: How long the locale keeps rows, models, releases and logs, for `isthmus retain`.
      signing_key: The locale's private Ed25519 key, by reference.
      trusted_key: The public half, which the centre checks signatures with; while the locale changes its
        key a list, each entry a key or `{key, not_before, not_after}` (`components.release.trust`).
      create_key: Make the pair when the key file does not exist. For one machine only: on a real
        deployment the region makes its key itself and gives the centre the public half.
      synthesizer: Overrides of the deployment's `synthesizer` section.
      generation: Overrides of the deployment's `generation` section.
      max_bad_fraction: Share of rows that may be quarantined before the run fails.
      placement: Where it runs on Kubernetes; `isthmus compile` reads it, `isthmus run` does not.
      monitoring: Overrides of the deployment's `monitoring` section, key by key.
      beam: Overrides of the deployment's `beam` section; what an engine keeps of a restricted locale's rows,
        it keeps where this section says.
    """

    name: str
    sharing: Literal["restricted", "open"]
    source: SourceConfig
    span: Annotated[int, pydantic.Field(ge=0)] | Literal["latest"] = "latest"
    pii: tuple[Section, ...] = ()
    privacy: PrivacySection | None = None
    egress: Section = {}
    governance: GovernanceSection | None = None
    retention: RetentionConfig = RetentionConfig()
    signing_key: SecretRef
    trusted_key: TrustedKeys
    create_key: bool = False
    synthesizer: Section = {}
    generation: Section = {}
    max_bad_fraction: float = pydantic.Field(default=0.01, ge=0, le=1)
    placement: PlacementSection = NOWHERE
    monitoring: Section = {}
    beam: Section = {}

    @pydantic.field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _LOCALE_NAME.match(name):
            raise ValueError("allowed: 1 to 48 letters, digits, '-' and '_', not at either end")
        return name

    @pydantic.model_validator(mode="after")
    def _check_sharing(self) -> LocaleSection:
        if self.sharing == "restricted" and self.privacy is None:
            raise ValueError(
                "a restricted locale needs a release gate; allowed: 'privacy: {gate: {}}' for the defaults"
            )
        if self.sharing == "open":
            given = [k for k in ("privacy", "egress", "synthesizer", "generation") if getattr(self, k)]
            if given:
                raise ValueError(
                    f"an open locale has no synthesizer and no gate, found '{given[0]}'; "
                    "allowed: remove it, or sharing: restricted"
                )
        return self


class TestSetSection(SourceConfig):
    """The labelled test period that the centre judges detectors on.

    Attributes:
      locale_column: Column that names the locale (or the site) of a test row.
    """

    locale_column: str | None = "locale"


class CentralSection(ComponentConfig):
    """The merge stage.

    Attributes:
      quorum: How many locales must have a valid release, at least 1.
      test_set: The labelled test period.
      ideal: Also read the raw rows of restricted locales, for the scenario *Ideal*. Only where the
        operator holds them, as in a simulation; never on a real border.
      detector: The ProphetEvaluator's settings.
      registry: Folder or URI that blessed detectors are pushed to.
      registry_storage_options: How to reach it, where it is an object store.
      signing_key: The centre's own Ed25519 private key, which signs what it pushes to the registry.
      model_name: Name of the detector in the registry.
      served_rows: Where `isthmus serve --record` keeps what the detector is asked about; None: not compared.
    """

    quorum: int = pydantic.Field(ge=1)
    test_set: TestSetSection
    ideal: bool = False
    detector: Section = {}
    registry: str = "registry"
    registry_storage_options: StorageOptions = DEFAULT_OPTIONS
    signing_key: SecretRef | None = None
    model_name: str = "detector"
    served_rows: ServedRowsConfig | None = None


class ExchangeSection(ComponentConfig):
    """The only place where regions and centre meet.

    Attributes:
      uri: Folder or URI (`file://`, `s3://`, `gs://`, `az://`, anything fsspec opens).
      storage_options: Endpoint, credentials by reference, and patience of an object store
        (`components.release.options.StorageOptions`).
    """

    uri: str = pydantic.Field(min_length=1)
    storage_options: StorageOptions = DEFAULT_OPTIONS


class RunSection(ComponentConfig):
    """How a run uses this machine.

    Attributes:
      parallel_locales: Locales side by side in processes; null is one per core, at most 4.
    """

    parallel_locales: int | None = pydantic.Field(default=None, ge=1, le=64)


class Deployment(ComponentConfig):
    """One deployment: regions, exchange, centre.

    Attributes:
      version: Of this file's form.
      name: Of the deployment; names pipelines.
      root: Pipeline roots and metadata, one folder per locale, nothing shared.
      seed: Makes everything but keys and release noise reproducible.
      dataset: The columns.
      splits: ExampleGen's splits (`components.example_gen.config.SplitConfig`).
      quality: Missing values and outliers, in every locale and the test set alike
        (`components.data_quality.config.QualityConfig`).
      locales: The regions.
      exchange: Where releases go.
      synthesizer: SynthesizerTrainer's settings.
      generation: SyntheticGen's settings.
      monitoring: Thresholds for drift, skew and schema anomalies, baselines, severities
        (`components.monitoring.MonitoringConfig`).
      central: The merge stage.
      metrics: Where each run's numbers go for Prometheus.
      beam: The Beam runner and its engine.
      run: How a run uses this machine.
      kubeflow: How it is compiled for Kubeflow Pipelines; `isthmus run` does not read it.
      alerts: Who is told of what monitoring found.
    """

    version: Literal[1] = 1
    name: str = pydantic.Field(min_length=1, max_length=40)
    root: str = pydantic.Field(min_length=1)
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31)
    dataset: DatasetConfig
    splits: SplitConfig = SplitConfig()
    quality: QualityConfig = QualityConfig()
    locales: tuple[LocaleSection, ...] = pydantic.Field(min_length=1)
    exchange: ExchangeSection
    synthesizer: Section = {}
    generation: Section = {}
    monitoring: Section = {}
    central: CentralSection
    metrics: MetricsSection = NO_METRICS
    beam: BeamSection = BeamSection()
    run: RunSection = RunSection()
    kubeflow: KubeflowSection = NO_KUBEFLOW
    alerts: AlertsSection = NO_ALERTS

    _file_digest: str = pydantic.PrivateAttr(default="")

    @property
    def file_digest(self) -> str:
        """SHA-256 of the file's canonical content, before paths were made absolute: the same anywhere."""
        return self._file_digest or self.digest()

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> Deployment:
        if not slug(self.name):
            raise ValueError(f"name '{self.name}' holds no letter or digit; allowed: letters, digits, '-'")
        seen: dict[str, str] = {}
        for locale in self.locales:
            other = seen.get(slug(locale.name))
            if other is not None:
                raise ValueError(
                    f"locales: '{locale.name}' is named twice"
                    + (f" ('{other}' has the same form '{slug(other)}')" if other != locale.name else "")
                    + "; allowed: each locale once"
                )
            seen[slug(locale.name)] = locale.name
        if "central" in seen:
            raise ValueError("locales: 'central' is the centre's own name; allowed: any other")
        if self.central.quorum > len(self.locales):
            raise ValueError(
                f"central.quorum: found {self.central.quorum}; allowed: 1 to {len(self.locales)}, "
                "the number of locales"
            )
        if self.central.ideal and all(locale.sharing == "open" for locale in self.locales):
            raise ValueError(
                "central.ideal: every locale is open, so what is released is all there is; "
                "allowed: ideal: false, or a restricted locale"
            )
        self.quality.imputation.policies(self.dataset)
        if self.dataset.label is None:
            raise ValueError("dataset.label: found none; allowed: the label column, which the test set needs")
        columns = [*self.dataset.feature_names(), self.dataset.label]
        check_names(self.alerts, [locale.name for locale in self.locales], columns)
        return self

    def locale(self, name: str) -> LocaleSection:
        """The locale of that name.

        Raises:
          KeyError: there is none.
        """
        for locale in self.locales:
            if locale.name == name:
                return locale
        raise KeyError(name)
