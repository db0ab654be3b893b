"""What the API's failures mean, in one line each."""

from __future__ import annotations

import json
import re
from typing import Any

from components.errors import IsthmusError

#: The server is there but cannot answer just now: worth another try.
_PASSING = frozenset({408, 425, 429, 502, 503, 504})
_LONGEST_MESSAGE = 300


class ApiError(IsthmusError):
    """The API refused, or could not be reached.

    Attributes:
      status: HTTP status; 0 where there was no answer.
      passing: Whether the same request may well succeed later.
      done_perhaps: Whether the server may have done what was asked although it did not say so.
    """

    exit_status = 2

    def __init__(
        self, message: str, *, status: int = 0, passing: bool = False, done_perhaps: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.passing = passing
        self.done_perhaps = done_perhaps


def one_line(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """Foreign text made fit for one line of a terminal: printable, single spaces, cut."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    short = re.sub(r"\s+", " ", printable).strip()
    return short if len(short) <= longest else short[: longest - 1] + "…"


def of_response(endpoint: str, what: str, status: int, body: bytes | str | None, has_token: bool) -> ApiError:
    """The error of an answer that was not 2xx.

    Args:
      endpoint: The API's address, for the message.
      what: What was asked for, such as `run 1234`.
      status: HTTP status.
      body: As it came.
      has_token: Whether the request carried a token.
    """
    said = _said(body)
    if status in (301, 302, 303, 307, 308):
        text = f"{endpoint}: redirects instead of answering ({status}), most often to a login page; "
        text += "allowed: the API's own address, with --token-file where it wants a token"
    elif status == 401:
        found = "does not accept the token" if has_token else "wants a token"
        text = f"{endpoint}: {found} (401); allowed: --token-file FILE or --token-env NAME with a valid one"
        text += f"; the server says: {said}" if said else ""
    elif status == 403:
        text = f"{endpoint}: forbids {what} (403); the token's identity needs the right in this namespace"
        text += f"; the server says: {said}" if said else ""
    elif status == 404 and said in ("", "Not Found", "404 page not found"):
        text = (
            f"{endpoint}: has no KFP v2beta1 API (404); a KFP v1 server, or the address of something else? "
        )
        text += "Allowed: KFP 2.0 or later"
    elif status == 404:
        text = f"{what}: not found at {endpoint}; the server says: {said}"
    elif status == 409:
        text = f"{what}: exists already at {endpoint}; the server says: {said}"
    else:
        text = f"{endpoint}: refused {what} ({status}); the server says: {said or 'nothing'}"
    return ApiError(text, status=status, passing=status in _PASSING, done_perhaps=status in (408, 502, 504))


def of_network(endpoint: str, what: str, error: BaseException) -> ApiError:
    """The error of a request that got no answer: refused, no such host, TLS, time limit."""
    reason = getattr(error, "reason", None) or error
    words = one_line(str(reason))
    kind = type(reason).__name__
    if "SSL" in kind or "ssl" in words.lower():
        if "WRONG_VERSION_NUMBER" in words or "record layer" in words:
            return ApiError(f"{endpoint}: speaks no TLS there; allowed: an http:// address, or the TLS port")
        found = re.search(r"certificate verify failed: ([^()]+)", words)
        why = found.group(1).strip() if found else words
        if "match" in why:
            return ApiError(
                f"{endpoint}: its TLS certificate is another's ({why}); allowed: the name it is for"
            )
        return ApiError(
            f"{endpoint}: its TLS certificate does not verify ({why}); allowed: --ca-file with the authority "
            "that signed it, or --insecure where nobody can listen in"
        )
    if "Timeout" in kind or "timed out" in words:
        # Only while connecting is it certain that nothing was asked yet.
        asked = "Connect" not in kind
        return ApiError(f"{endpoint}: no answer in time to {what}", passing=True, done_perhaps=asked)
    if "refused" in words:
        text = f"{endpoint}: connection refused; is the address right, and does its port-forward run?"
        return ApiError(text, passing=True)
    if "Name or service not known" in words or "name resolution" in words or "nodename" in words:
        return ApiError(f"{endpoint}: no such host; allowed: the address of a KFP API", passing=True)
    return ApiError(f"{endpoint}: no answer to {what} ({words})", passing=True, done_perhaps=True)


def _said(body: bytes | str | None) -> str:
    """The server's own words; grpc-gateway and the upload handler put them into different fields."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return "" if text.lstrip().startswith("<") else one_line(text)
    if not isinstance(found, dict):
        return one_line(text)
    said = found.get("message") or found.get("error_message") or found.get("error") or ""
    return one_line(str(said))
