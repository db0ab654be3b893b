"""What must hold before anything is compiled: placement and residency. Every refusal is one line."""

from __future__ import annotations

from components.errors import ConfigError, list_briefly, nearest_name
from components.secrets import SecretRef
from pipeline.addresses import within
from pipeline.compiler.steps import step_names
from pipeline.config.kubeflow import KubeflowSection, Layout
from pipeline.config.model import Deployment, LocaleSection
from pipeline.config.placement import PlacementSection


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
    if "@" not in settings.image and ":" not in settings.image.rsplit("/", 1)[-1]:
        raise ConfigError(
            f"kubeflow.image: found '{settings.image}', which is whatever was pushed last; allowed: an "
            "image with a tag or a digest"
        )
    zones = [(f"locales.{locale.name}.placement", locale.placement) for locale in deployment.locales]
    zones.append(("kubeflow.central", settings.central))
    _check_accounts(zones, layout)
    for key, placement in zones:
        known = step_names(settings.fuse, central=key == "kubeflow.central")
        for name in placement.steps:
            if known and name not in known:
                raise ConfigError(
                    f"{key}.steps: unknown step '{name}'{nearest_name(name, list(known))}; allowed with "
                    f"fuse: {settings.fuse}: {', '.join(known)}"
                )
    warnings = []
    for locale in deployment.locales:
        _check_state(locale)
        if locale.sharing == "restricted" and settings.residency == "strict":
            _check_residency(deployment, locale)
        if locale.placement.state is None:
            warnings.append(
                f"locale {locale.name}: placement.state: none, so nothing is known of earlier spans: "
                "drift is not evaluated"
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


def _check_state(locale: LocaleSection) -> None:
    """A ledger and an audit log need locks and fsync, which no object store has."""
    placement = locale.placement
    keeps = locale.governance is not None or (
        locale.privacy is not None and locale.privacy.budget is not None
    )
    if keeps and placement.state is None:
        raise ConfigError(
            f"locale {locale.name}: placement.state: found none, and the locale has a budget or a policy, "
            "whose records must outlive a pod; allowed: a path below a mount of placement.volumes"
        )
    if placement.state is None:
        return
    if "://" in placement.state:
        if keeps:
            raise ConfigError(
                f"locale {locale.name}: placement.state: found {placement.state}; a ledger needs a file "
                "system with locks; allowed: a path below a mount of placement.volumes"
            )
    elif not any(within(placement.state, item.mount_path) for item in placement.volumes):
        mounts = [item.mount_path for item in placement.volumes]
        raise ConfigError(
            f"locale {locale.name}: placement.state: found {placement.state}, which is gone with its pod; "
            f"allowed: a URI, or a path below a mount of placement.volumes "
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
        store = other.store.uri if other.store else None
        if store and (within(store, placement.store.uri) or within(placement.store.uri, store)):
            raise ConfigError(
                f"{key}: its bucket {placement.store.uri} is also that of {name}; allowed: places apart"
            )


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
    limit, loud = 1 << 20, 700 << 10
    if size_bytes >= limit:
        raise ConfigError(
            f"the compiled spec has {size_bytes >> 10} KiB; allowed: less than {limit >> 10} KiB; "
            "fewer locales in one spec (layout: multi-cluster), or fuse: region"
        )
    if size_bytes > loud:
        return [f"the compiled spec has {size_bytes >> 10} KiB; from {limit >> 10} KiB on it is refused"]
    return []


def settings_for(deployment: Deployment, layout: Layout | None) -> KubeflowSection:
    """The section with the layout of the command line, where one was given."""
    settings = deployment.kubeflow
    return settings if layout is None else settings.model_copy(update={"layout": layout})
