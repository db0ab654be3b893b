"""What must hold before anything is compiled: placement and residency. Every refusal is one line."""

from __future__ import annotations

from components.errors import ConfigError, list_briefly, nearest_name
from components.secrets import SecretRef
from pipeline.addresses import within
from pipeline.compiler.steps import step_names
from pipeline.config.kubeflow import KubeflowSection, Layout
from pipeline.config.model import Deployment, LocaleSection
from pipeline.config.placement import PlacementSection

#: Of a compiled spec: where it is refused, since it is kept in objects of at most 1 MiB, and warned about.
LIMIT_BYTES, LOUD_BYTES = 1 << 20, 700 << 10


def check(deployment: Deployment, layout: Layout) -> list[str]:
    """Refuses combinations that Kubernetes or the residency policy cannot hold.

    Returns:
      Warnings: what is allowed and will be missed.

    Raises:
      ConfigError: names the section, what was found, what is allowed.
    """
    settings = deployment.kubeflow
    if not settings.image:
        raise ConfigError(
            "kubeflow.image: found none; allowed: the image that kubeflow/Dockerfile builds, with its tag "
            "or digest, such as registry.example/isthmus:1"
        )
    tag = settings.image.rsplit("/", 1)[-1].partition(":")[2]
    if "@" not in settings.image and tag in ("", "latest"):
        raise ConfigError(
            f"kubeflow.image: found '{settings.image}', which is whatever was pushed last; allowed: an "
            "image with a tag of its own or a digest"
        )
    zones = [(f"locales.{locale.name}.placement", locale.placement) for locale in deployment.locales]
    zones.append(("kubeflow.central", settings.central))
    _check_accounts(zones, layout)
    for key, placement in zones:
        known = step_names(settings.fuse, central=key == "kubeflow.central")
        for name in placement.steps:
            if name not in known:
                raise ConfigError(
                    f"{key}.steps: unknown step '{name}'{nearest_name(name, list(known))}; allowed with "
                    f"fuse: {settings.fuse}: {', '.join(known)}"
                )
    warnings = []
    for locale in deployment.locales:
        keeps = locale.governance is not None or (
            locale.privacy is not None and locale.privacy.budget is not None
        )
        _check_state(f"locale {locale.name}", locale.placement, keeps)
        if locale.sharing == "restricted" and settings.residency == "strict":
            _check_residency(deployment, locale)
            _check_disks(deployment, locale, layout)
        if locale.placement.state is None:
            warnings.append(
                f"locale {locale.name}: placement.state: none, so nothing is known of earlier spans: "
                "drift is not evaluated"
            )
    _check_state("kubeflow.central", settings.central, keeps=False)
    if settings.central.state is None:
        warnings.append(
            "kubeflow.central.state: none, so nothing is known of earlier runs: an exchange that was set "
            "back is not noticed"
        )
    if settings.residency == "strict":
        _check_centre(deployment)
    return warnings


def _check_accounts(zones: list[tuple[str, PlacementSection]], layout: Layout) -> None:
    if layout == "multi-cluster":
        return
    for field in ("service_account", "namespace"):
        found = {getattr(placement, field) for _, placement in zones}
        if len(found) > 1:
            key = next(key for key, placement in zones if getattr(placement, field))
            raise ConfigError(
                f"{key}.{field}: found {list_briefly(sorted(str(x) for x in found))}; a run of Kubeflow "
                f"has one {field.replace('_', ' ')}; allowed: the same everywhere, or layout: multi-cluster"
            )


def _check_state(zone: str, placement: PlacementSection, keeps: bool) -> None:
    """A ledger and an audit log need locks and fsync, which no object store has."""
    if keeps and placement.state is None:
        raise ConfigError(
            f"{zone}: placement.state: found none, and the locale has a budget or a policy, "
            "whose records must outlive a pod; allowed: a path below a mount of placement.volumes"
        )
    if placement.state is None:
        return
    if "://" in placement.state:
        if keeps:
            raise ConfigError(
                f"{zone}: placement.state: found {placement.state}; a ledger needs a file "
                "system with locks; allowed: a path below a mount of placement.volumes"
            )
    elif not any(within(placement.state, item.mount_path) for item in placement.volumes):
        mounts = [item.mount_path for item in placement.volumes]
        raise ConfigError(
            f"{zone}: placement.state: found {placement.state}, which is gone with its pod; "
            f"allowed: {'' if keeps else 'a URI, or '}a path below a mount of placement.volumes "
            f"({list_briefly(mounts) if mounts else 'there is none'})"
        )


def _check_residency(deployment: Deployment, locale: LocaleSection) -> None:
    placement, key = locale.placement, f"locale {locale.name}: kubeflow.residency strict"
    if not placement.is_pinned:
        raise ConfigError(
            f"{key}: its pods may run on any node; allowed: placement.node_selector or "
            "placement.node_affinity"
        )
    if placement.store is None:
        raise ConfigError(
            f"{key}: its artifacts would lie in the pipeline root that all share; allowed: placement.store, "
            "a bucket of its own"
        )
    options = placement.store.storage_options
    secrets = [getattr(options, name) for name in type(options).model_fields]
    if not any(isinstance(found, SecretRef) for found in secrets) and options.token_file is None:
        raise ConfigError(
            f"{key}: its bucket has no credentials of its own; allowed: placement.store.storage_options with "
            "a secret by reference"
        )
    others = [(other.name, other.placement) for other in deployment.locales if other.name != locale.name]
    for name, other in [*others, ("central", deployment.kubeflow.central)]:
        shared = placement.secrets & other.secrets
        if shared:
            raise ConfigError(
                f"{key}: shares the Secret {sorted(shared)[0]} with {name}; allowed: Secrets of its own"
            )
        if other.store and _overlap(other.store.uri, placement.store.uri):
            raise ConfigError(
                f"{key}: its bucket {placement.store.uri} is also that of {name}; allowed: places apart"
            )
    root = deployment.kubeflow.pipeline_root
    if root and _overlap(root, placement.store.uri):
        raise ConfigError(
            f"{key}: its bucket {placement.store.uri} is also kubeflow.pipeline_root {root}, which all "
            "share; allowed: places apart"
        )


def _check_disks(deployment: Deployment, locale: LocaleSection, layout: Layout) -> None:
    """A claim that another zone mounts, or a state in its bucket, is a way out that no data flow shows."""
    own, key = locale.placement, f"locale {locale.name}: kubeflow.residency strict"
    others = [(other.name, other.placement) for other in deployment.locales if other.name != locale.name]
    for name, other in [*others, ("central", deployment.kubeflow.central)]:
        claims = {item.claim for item in own.volumes} & {item.claim for item in other.volumes}
        # Claims of two namespaces are two, whatever their names; a layout for many clusters gives each
        # zone its own unless it names the same.
        together = layout == "single-cluster" or (
            own.namespace is not None and own.namespace == other.namespace
        )
        if claims and together:
            raise ConfigError(
                f"{key}: shares the claim {min(claims)} with {name}; allowed: placement.volumes of its own"
            )
        theirs = [uri for uri in (other.state, other.store.uri if other.store else None) if uri]
        for place in theirs if own.state and "://" in own.state else ():
            if _overlap(str(own.state), place):
                raise ConfigError(
                    f"{key}: keeps its state in {own.state}, which {name} has too ({place}); allowed: "
                    "places apart"
                )


def _overlap(one: str, other: str) -> bool:
    return within(one, other) or within(other, one)


def _check_centre(deployment: Deployment) -> None:
    if deployment.central.ideal:
        raise ConfigError(
            "central.ideal: found true, by which the centre reads the raw rows of restricted locales; "
            "allowed with kubeflow.residency strict: false"
        )


def check_size(size_bytes: int) -> list[str]:
    """Warns from 700 KiB on: the spec is kept in objects of at most 1 MiB.

    Raises:
      ConfigError: it is larger than 1 MiB.
    """
    if size_bytes >= LIMIT_BYTES:
        raise ConfigError(
            f"the compiled spec has {size_bytes >> 10} KiB; allowed: less than {LIMIT_BYTES >> 10} KiB; "
            "fewer locales in one spec (layout: multi-cluster), or fuse: region"
        )
    if size_bytes >= LOUD_BYTES:
        return [
            f"the compiled spec has {size_bytes >> 10} KiB; from {LIMIT_BYTES >> 10} KiB on it is refused"
        ]
    return []


def settings_for(deployment: Deployment, layout: Layout | None) -> KubeflowSection:
    """The section with the layout of the command line, where one was given."""
    settings = deployment.kubeflow
    return settings if layout is None else settings.model_copy(update={"layout": layout})
