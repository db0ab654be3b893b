"""Secrets by reference: a configuration names where a secret is, never the secret itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pydantic

from components.config_base import ComponentConfig
from components.errors import ConfigError

#: A key or a salt fits easily; anything larger is a wrong path (a data file, a device).
MAX_SECRET_BYTES = 64 * 1024


#: What a name of an environment variable looks like; base64 of 32 bytes ends in `=` and is none.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def path_in_words(text: str) -> str:
    """` '<path>'` for a message; empty where the text need not be a path, since it may be a secret itself.

    A file that exists is one, and so is a name with an extension: neither base64 nor hexadecimal has a dot.
    """
    if not _is_one_line(text):
        return ""
    try:
        known = Path(text).expanduser().is_file()
    except (OSError, RuntimeError):
        known = False
    return f" '{text}'" if known or "." in text.rsplit("/", 1)[-1] else ""


def _is_one_line(text: str) -> bool:
    return text.isprintable() and len(text) <= 200 and "-----BEGIN" not in text


class SecretRef(ComponentConfig):
    """Where a secret is: an environment variable or a file, exactly one of them.

    Attributes:
      env: Name of the environment variable that holds the secret as text.
      file: Path of the file that holds it; surrounding white space is not part of the secret.
    """

    env: str | None = pydantic.Field(default=None, min_length=1)
    file: str | None = pydantic.Field(default=None, min_length=1)

    @pydantic.model_validator(mode="after")
    def _check_exactly_one(self) -> SecretRef:
        if (self.env is None) == (self.file is None):
            given = "neither" if self.env is None else "both"
            raise ValueError(f"a secret needs exactly one of 'env' and 'file', found {given}")
        return self

    def __str__(self) -> str:
        # A secret put where its name belongs is not shown.
        if self.env:
            return "environment variable" + (f" {self.env}" if _NAME.fullmatch(self.env) else "")
        return "file" + (f" {self.file}" if _is_one_line(str(self.file)) else "")

    def read(self) -> bytes:
        """The secret, without surrounding white space. Never log or print what this returns.

        Raises:
          ConfigError: not set, not readable, empty or too large; the message names the place only.
        """
        if self.env is not None:
            value = os.environ.get(self.env)
            if value is None:
                raise ConfigError(f"secret: {self} is not set. Set it, or refer to a file instead.")
            secret = value.encode("utf-8", "surrogateescape")
        else:
            try:
                with Path(str(self.file)).expanduser().open("rb") as file:
                    secret = file.read(MAX_SECRET_BYTES + 1)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                hint = "Create it or mend the path."
                raise ConfigError(f"secret: {self} cannot be read ({reason}). {hint}") from None
        if len(secret) > MAX_SECRET_BYTES:
            raise ConfigError(
                f"secret: {self} holds more than {MAX_SECRET_BYTES} bytes. Refer to a key, not to data."
            )
        secret = secret.strip()
        if not secret:
            raise ConfigError(f"secret: {self} is empty. Put the secret there.")
        return secret
