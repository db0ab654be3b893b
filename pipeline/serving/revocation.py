"""Whether a release that the detector was built on was taken back, asked of the exchange."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import ConfigError
from components.release.canonical import printable
from components.release.exchange import ReleaseLocation
from components.release.keys import PublicKey, load_public_key
from components.release.revocation import find_revocations
from components.release.storage import Store, open_store


@dataclass(frozen=True)
class RevocationList:
    """Where revocations are, and who may revoke.

    Attributes:
      exchange: The exchange.
      keys: Public keys by locale; only what a locale's own key signed counts.
    """

    exchange: Store
    keys: Mapping[str, tuple[PublicKey, ...]]

    def first(self, releases: Iterable[Mapping[str, Any]]) -> str:
        """The first release that was revoked, and why, in words; empty where none was.

        Raises:
          ConfigError: a release is of a locale whose key is not known.
          DataError: the exchange cannot be read.
        """
        for release in releases:
            locale = str(release["locale"])
            if locale not in self.keys:
                raise ConfigError(
                    f"--locale-key: none for {printable(locale)[:40]}, whose release the detector stands on; "
                    "its revocations could not be believed"
                )
            location = ReleaseLocation(
                locale, int(release["span"]), int(release.get("sequence", 1)), str(release["release_id"])
            )
            for note in find_revocations(self.exchange, location, self.keys[locale]).valid:
                if note.content_digest == release["digest"]:
                    return f"{location.folder} was revoked ({note.reason})"
        return ""


def revocation_list(exchange: str, locale_keys: Iterable[str]) -> RevocationList | None:
    """The list as the command line names it.

    Args:
      exchange: Folder or URI; empty where revocations are not looked at.
      locale_keys: `LOCALE=KEY`, the key as text or as the path of its file; repeated for several keys.

    Raises:
      ConfigError: one is not of that form or is no public key; or only one of the two is given.
    """
    keys: dict[str, tuple[PublicKey, ...]] = {}
    for entry in locale_keys:
        locale, sign, key = entry.partition("=")
        if not sign or not locale or not key:
            raise ConfigError("--locale-key: allowed: LOCALE=KEY, the key as text or the path of its file")
        keys[locale] = (*keys.get(locale, ()), load_public_key(key))
    if not exchange:
        if keys:
            raise ConfigError("--locale-key: needs --exchange, where the revocations are")
        return None
    return RevocationList(open_store(exchange), keys)
