"""Ed25519 keys: made, stored, loaded and used to sign and verify documents (manifests, revocations).

Source: RFC 8032 (Ed25519), through the `cryptography` package.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from components.errors import ConfigError, DataError
from components.release.signature import Signature, Signed
from components.secrets import SecretRef, path_in_words

#: A raw Ed25519 key, private or public, is 32 bytes (RFC 8032, section 5.1.5).
RAW_KEY_BYTES = 32
KEY_ID_DIGITS = 16
#: Tells a key in a configuration file from the path of one.
TEXT_PREFIX = "ed25519:"
#: In the first line of every private key in PEM (RFC 7468, section 10).
_PRIVATE = "PRIVATE KEY"


S = TypeVar("S", bound=Signed)


@dataclass(frozen=True)
class PublicKey:
    """A public key.

    Attributes:
      raw: Its 32 bytes.
      not_before, not_after: From when and until when its owner is believed, UTC, by the clock of who
        verifies; None is without a limit.
    """

    raw: bytes
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def key_id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the raw key."""
        return hashlib.sha256(self.raw).hexdigest()[:KEY_ID_DIGITS]

    def to_text(self) -> str:
        """`ed25519:` and base64 of the raw key: the form for a configuration file."""
        return TEXT_PREFIX + base64.b64encode(self.raw).decode()

    def why_not_now(self, now: datetime) -> str:
        """Why the key is not believed at this time, in words; empty if it is."""
        if self.not_before is not None and now < self.not_before:
            return f"trusted only from {self.not_before:%Y-%m-%dT%H:%M:%SZ} on"
        if self.not_after is not None and now >= self.not_after:
            return f"trusted only until {self.not_after:%Y-%m-%dT%H:%M:%SZ}"
        return ""

    def verifies(self, document: Signed) -> bool:
        """Whether the document's signature is this key's; the time is not looked at."""
        if document.signature is None or document.signature.key_id != self.key_id:
            return False
        return self.verifies_bytes(document.signed_bytes(), document.signature.value)

    def verifies_bytes(self, data: bytes, signature: str) -> bool:
        """Whether `signature` (base64) is this key's over `data`, which names its own purpose."""
        try:
            value = base64.b64decode(signature, validate=True)
            if base64.b64encode(value).decode() != signature:
                return False  # the last character of base64 has spare bits: one signature, one form
            Ed25519PublicKey.from_public_bytes(self.raw).verify(value, data)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A signing key. Its text form never appears in a message, a log or `repr`."""

    _key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"PrivateKey(key_id={self.public.key_id})"

    @property
    def public(self) -> PublicKey:
        """The public half."""
        encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return PublicKey(self._key.public_key().public_bytes(encoding, form))

    def sign(self, document: S) -> S:
        """The document with this key's signature; Ed25519 is deterministic, so are the bytes."""
        unsigned = document.model_copy(update={"signature": None})
        value = self.sign_bytes(unsigned.signed_bytes())
        return unsigned.model_copy(update={"signature": Signature(key_id=self.public.key_id, value=value)})

    def sign_bytes(self, data: bytes) -> str:
        """Signature (base64) over bytes that begin with the name of their purpose.

        Without that name, a signature made for one purpose could be presented as one for another.
        """
        return base64.b64encode(self._key.sign(data)).decode()


def new_private_key() -> PrivateKey:
    """A fresh key from the operating system's randomness."""
    return PrivateKey(Ed25519PrivateKey.generate())


def load_private_key(secret: SecretRef) -> PrivateKey:
    """The signing key: PEM (PKCS #8, unencrypted) or base64 of the 32 raw bytes.

    Raises:
      ConfigError: the secret cannot be read or is no Ed25519 key; the message never shows it.
    """
    data = secret.read()
    try:
        if data.startswith(b"-----BEGIN"):
            key = serialization.load_pem_private_key(data, password=None)
            if isinstance(key, Ed25519PrivateKey):
                return PrivateKey(key)
        else:
            return PrivateKey(Ed25519PrivateKey.from_private_bytes(base64.b64decode(data, validate=True)))
    except (ValueError, TypeError, binascii.Error):
        pass  # the exceptions' own texts can quote the input
    raise ConfigError(
        f"signing key in {secret} is not an Ed25519 private key (unencrypted PEM, or base64 of 32 bytes)."
    )


def load_public_key(text: str) -> PublicKey:
    """A public key: PEM text, `ed25519:` (or not) and base64, or the path of a file with either.

    Raises:
      ConfigError: it is none of these. The message quotes nothing but the path of a file: what stands
        where a public key belongs may be a private one.
    """
    content = text.strip()
    place = f"public key{path_in_words(content) or ' (text not shown)'}"
    if _PRIVATE not in content and not content.startswith("-----BEGIN") and _decode_raw(content) is None:
        try:
            content = Path(content).expanduser().read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise ConfigError(f"{place}: neither PEM, nor base64 of 32 bytes, nor a readable file.") from None
    raw = _decode_raw(content)
    if raw is not None:
        return PublicKey(raw)
    if _PRIVATE in content:
        raise ConfigError(
            f"{place}: found a private key; allowed: the public one (the `.pub` file beside it)."
        )
    try:
        key = serialization.load_pem_public_key(content.encode("ascii", "replace"))
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{place} is not an Ed25519 public key.")
    return PublicKey(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def _decode_raw(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text.removeprefix(TEXT_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == RAW_KEY_BYTES else None


def public_key_path(private_path: str | os.PathLike[str]) -> Path:
    """Where `ensure_key_pair` puts the public half: `<private key file>.pub`."""
    path = Path(private_path).expanduser()
    return path.with_name(path.name + ".pub")


def ensure_key_pair(path: str | os.PathLike[str]) -> PrivateKey:
    """The key pair at `path` (private, mode 0600) and `path.pub` (public); made if there is none.

    The private file appears whole or not at all, and of two processes that make one at once both end
    with the same key: the file is linked into place, which fails where one is there already.

    Raises:
      ConfigError: the file that is there is no key.
      DataError: the folder cannot be written.
    """
    private_path = Path(path).expanduser()
    try:
        private_path.parent.mkdir(parents=True, exist_ok=True)
        if not private_path.exists():
            _link_new_key(private_path)
        key = load_private_key(SecretRef(file=str(private_path)))
        public_path = public_key_path(private_path)
        text = key.public.to_text() + "\n"
        if not public_path.exists() or public_path.read_text() != text:
            _write_beside(public_path, text.encode(), 0o644, replace=True)
    except OSError as error:
        raise DataError(
            f"key pair {private_path}: cannot be written ({error.strerror or error}). Choose another folder."
        ) from error
    return key


def _link_new_key(path: Path) -> None:
    pem = new_private_key()._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_beside(path, pem, 0o600, replace=False)


def _write_beside(path: Path, data: bytes, mode: int, replace: bool) -> None:
    """Writes a temporary file and moves it into place; without `replace`, an existing file stays."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp: 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        if replace:
            Path(temporary).replace(path)
            return
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
