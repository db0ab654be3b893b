"""Which engine runs a zone's Beam steps, and whether it keeps to the border. Imports no TFX and no Beam."""

from __future__ import annotations

from components import beam_engine
from components.errors import ConfigError
from pipeline.addresses import is_address, within
from pipeline.border_model import Zone
from pipeline.border_places import check_places
from pipeline.config.beam import BeamSection, WholeBeamSection
from pipeline.config.model import Deployment, Section
from pipeline.config.sections import typed


def beam_section(deployment: Deployment, zone: str) -> BeamSection:
    """A zone's section: the deployment's, overridden by the locale's own.

    Args:
      deployment: The deployment.
      zone: A locale's name; any other name (the centre's) has no section of its own.

    Raises:
      SectionError: a rule is broken, or something is missing.
    """
    base = deployment.beam.model_dump(exclude_defaults=True)
    restricted = [locale.name for locale in deployment.locales if locale.sharing == "restricted"]
    # An open locale and the centre have no Beam step: what a restricted locale has to add may be missing.
    model = WholeBeamSection if zone in restricted or not restricted else BeamSection
    for index, locale in enumerate(deployment.locales):
        if locale.name == zone and locale.beam:
            return typed(model, ("locales", index, "beam"), _merged(base, locale.beam))
    return typed(model, ("beam",), base)


def _merged(base: Section, own: Section) -> Section:
    if "profile" in own and own["profile"] != base.get("profile"):
        return own
    if "args" in own and not base.get("profile"):
        return own
    return {**base, **own}


def beam_args(deployment: Deployment, zone: str) -> list[str]:
    """Beam's pipeline options of every step of a zone.

    Raises:
      SectionError: as `beam_section`.
    """
    return list(beam_section(deployment, zone).pipeline_args())


def own_places(deployment: Deployment, zone: str) -> tuple[str, ...]:
    """Where the engine keeps a zone's rows outside its root: folders, buckets, the engine itself.

    Of a restricted locale those alone that it names itself: what the deployment names is shared.
    """
    locale = next((locale for locale in deployment.locales if locale.name == zone), None)
    section = beam_section(deployment, zone)
    if locale is not None and locale.sharing == "restricted":
        if not locale.beam:
            return ()
        shared = {"profile": section.profile, "environment_type": section.environment_type}
        section = BeamSection.model_construct(**{**shared, **locale.beam})
    grounds = beam_engine.grounds(section.pipeline_args())
    return tuple(dict.fromkeys(filter(is_address, grounds)))


def check_beam(deployment: Deployment) -> None:
    """Every zone's engine is whole, and no two zones with a restricted one among them share it.

    Raises:
      SectionError: a section breaks a rule.
      ConfigError: a restricted locale's rows would go to a place that is not its own.
    """
    zones = []
    for locale in deployment.locales:
        root = f"{deployment.root.rstrip('/')}/{locale.name}"
        own = own_places(deployment, locale.name)
        zones.append(Zone(locale.name, locale.sharing, root, places=own))
        if locale.sharing != "restricted":
            continue
        section = beam_section(deployment, locale.name)
        args = section.pipeline_args()
        for place in filter(is_address, beam_engine.grounds(args)):
            if place not in own and not within(place, root):
                raise ConfigError(
                    f"locale {locale.name}: beam: {place} is named by the deployment for all; allowed for a "
                    f"restricted locale: one of its own, in its section 'beam', or a folder below {root}"
                )
        if beam_engine.option(args, "runner").endswith("DataflowRunner") and not _own_region(locale.beam):
            raise ConfigError(
                f"locale {locale.name}: beam: Dataflow's region is named by the deployment for all; allowed "
                "for a restricted locale: its own, in its section 'beam'"
            )
    places = own_places(deployment, "central")
    zones.append(Zone("central", "central", f"{deployment.root.rstrip('/')}/central", places=places))
    check_places(zones, deployment.exchange.uri)


def _own_region(section: Section) -> bool:
    return bool(section.get("region") or beam_engine.option(section.get("args", ()), "region"))
