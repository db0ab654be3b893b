"""Kinds of personal identifiers: how a value is recognised, and how sure that is.

A kind has a pattern, which Arrow matches over whole columns, and a validator from a library for what
matches. Digits with one check digit are met by a tenth of all random numbers, so such a kind is only
believed where most of a column's values pass; an e-mail address is believed once.

Sources: python-stdnum (ISO 13616, ISO/IEC 7812, national registries), phonenumbers (ITU-T E.164), RFC 5321,
ISO 3779 and 49 CFR 565 (vehicle identification numbers).
"""

from __future__ import annotations

import functools
import importlib
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of identifier.

    Attributes:
      name: In words.
      pattern: RE2, for Arrow; anchored by itself where it must be.
      check: Whether a text that matches really is one.
      min_share: Least share of a column's present values that must pass.
      min_distinct: Least number of different values that must pass.
      digits_only: Whole numbers are looked at as well.
    """

    name: str
    pattern: str
    check: Callable[[str], bool]
    min_share: float
    min_distinct: int = 1
    digits_only: bool = False


#: Anything at all: the pattern is proof enough.
_SURE = 0.0
#: A random number passes one check digit one time in ten; half of a column does not.
_CHECK_DIGIT = 0.5
_MIN_DISTINCT = 5


def _always(_: str) -> bool:
    return True


@functools.cache
def _validator(module: str) -> Callable[[str], bool]:
    return importlib.import_module(f"stdnum.{module}").is_valid  # type: ignore[no-any-return]


def _any_of(*modules: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        return any(_validator(module)(text) for module in modules)

    return check


def is_card(text: str) -> bool:
    """A payment card number: issuer's prefix, 13 to 19 digits, Luhn."""
    digits = re.sub(r"[ -]", "", text)
    issuers = (
        r"4|5[1-5]|2(?:2[2-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[689])|6(?:011|4[4-9]|5)|35(?:2[89]|[3-8])"
    )
    if len(digits) == 15 and not digits.startswith(("34", "37")):  # an IMEI, more likely
        return False
    return bool(re.match(issuers, digits)) and 13 <= len(digits) <= 19 and _validator("luhn")(digits)


def is_phone(text: str) -> bool:
    """An international telephone number that its country's numbering plan has."""
    import phonenumbers

    text = "+" + text.strip()[2:] if text.strip().startswith("00") else text
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(text, None)))
    except phonenumbers.NumberParseException:
        return False


def is_ip(text: str) -> bool:
    """An IP address; of four numbers only where they can hardly be a version, such as 2.16.1.0.

    That is where the first is above 9 and any of the four above 63.
    """
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return False
    if address.version == 6:
        return True
    return int(address) >> 24 > 9 and any(int(part) > 63 for part in text.split("."))


_VIN_VALUES = dict(
    zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", [*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10)])
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def is_vin(text: str) -> bool:
    """A vehicle identification number by its check digit (North America and China; elsewhere optional)."""
    text = text.upper()
    if not re.fullmatch(r"[A-HJ-NPR-Z0-9]{17}", text) or not re.search(r"[A-Z]", text):
        return False
    total = sum(_VIN_VALUES[letter] * weight for letter, weight in zip(text, _VIN_WEIGHTS, strict=True))
    return text[8] == "0123456789X"[total % 11]


KINDS: tuple[Kind, ...] = (
    Kind(
        "e-mail address", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", _always, _SURE
    ),
    Kind("IBAN", r"^\s*[A-Z]{2}\d{2}[ ]?([A-Z0-9]{4}[ ]?){2,7}[A-Z0-9]{0,4}\s*$", _validator("iban"), _SURE),
    Kind("telephone number", r"^\s*(\+|00)[1-9][\d ()./-]{6,19}$", is_phone, 0.05, 2),
    Kind("MAC address", r"^\s*([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\s*$", _always, _SURE),
    Kind(
        "IP address",
        r"^\s*(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)\s*$",
        is_ip,
        0.5,
    ),
    Kind(
        "geographic position",
        r"^\s*\(?[+-]?\d{1,2}\.\d{4,}\s*[,; ]\s*[+-]?\d{1,3}\.\d{4,}\)?\s*$",
        _always,
        0.5,
    ),
    Kind(
        "payment card number",
        r"^\s*\d{4}[ -]?\d{4,6}[ -]?\d{4,5}([ -]?\d{1,4})?\s*$",
        is_card,
        _CHECK_DIGIT,
        _MIN_DISTINCT,
        digits_only=True,
    ),
    Kind(
        "IMEI",
        r"^\s*\d{2}[ -]?\d{6}[ -]?\d{6}[ -]?\d\s*$",
        _validator("imei"),
        _CHECK_DIGIT,
        _MIN_DISTINCT,
        True,
    ),
    Kind("vehicle identification number", r"^\s*[A-HJ-NPR-Za-hj-npr-z0-9]{17}\s*$", is_vin, _CHECK_DIGIT, 2),
    # National identity numbers with letters or separators of their own: the form is rare by itself.
    Kind(
        "national identity number",
        r"^\s*(\d{3}-\d{2}-\d{4}|\d{6}[-+A]\d{3}[0-9A-Z]|\d{8}[A-Z]|[XYZ]\d{7}[A-Z]|756\.\d{4}\.\d{4}\.\d{2}|"
        r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]|[A-Z]{5}\d{4}[A-Z]|\d{3}\.\d{3}\.\d{3}-\d{2}|\d{6}-\d{7}|\d{6}-\d{4}|"
        r"[A-Z]{4}\d{6}[A-Z]{6}[0-9A-Z]\d|\d{17}X)\s*$",
        _any_of(
            "us.ssn",
            "fi.hetu",
            "es.dni",
            "es.nie",
            "ch.ssn",
            "it.codicefiscale",
            "in_.pan",
            "br.cpf",
            "kr.rrn",
            "se.personnummer",
            "dk.cpr",
            "mx.curp",
            "cn.ric",
        ),
        0.2,
        2,
    ),
    # Plain digits: only where nearly all of a column passes.
    Kind(
        "national identity number",
        r"^\s*(\d{9}|\d{10,13}|\d{15}|\d{18})\s*$",
        _any_of(
            "de.idnr",
            "nl.bsn",
            "pl.pesel",
            "fr.nir",
            "cn.ric",
            "ro.cnp",
            "no.fodselsnummer",
            "ee.ik",
            "bg.egn",
        ),
        0.9,
        20,
        True,
    ),
)

#: What a column's name says by itself, as words of the name; every set is one way to say it.
NAMES: dict[str, tuple[frozenset[str], ...]] = {
    "e-mail address": tuple(map(frozenset, ({"email"}, {"mail"}, {"e", "mail"}))),
    "telephone number": tuple(map(frozenset, ({"phone"}, {"telephone"}, {"msisdn"}, {"cellphone"}))),
    "person's name": tuple(
        map(
            frozenset,
            (
                *(
                    {word}
                    for word in ("firstname", "lastname", "surname", "fullname", "forename", "username")
                ),
                *(
                    {word, "name"}
                    for word in ("first", "last", "full", "family", "given", "user", "customer")
                ),
                *({word} for word in ("operator", "technician", "driver", "employee", "patient", "customer")),
                *({word, "name"} for word in ("owner", "person", "contact", "maiden")),
            ),
        )
    ),
    "date of birth": tuple(map(frozenset, ({"birth"}, {"birthday"}, {"birthdate"}, {"dob"}))),
    "postal address": tuple(
        map(
            frozenset,
            ({"street"}, {"postcode"}, {"zipcode"}, {"zip", "code"}, {"postal"}, {"home", "address"}),
        )
    ),
    "identity number": tuple(map(frozenset, ({"ssn"}, {"passport"}, {"iban"}, {"imei"}, {"imsi"}, {"vin"}))),
}
#: Kinds of `NAMES` that only a text column can hold; a pump's `operator` mode may be a number.
TEXT_ONLY = frozenset({"person's name", "e-mail address", "postal address"})
LATITUDE = frozenset({"lat", "latitude"})
LONGITUDE = frozenset({"lon", "lng", "long", "longitude"})


def words_of_name(column: str) -> frozenset[str]:
    """The words of a column's name: `customerEmail_2` has customer, email."""
    parts = re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", column)
    return frozenset(part.lower() for part in parts if part)


def kind_by_name(column: str, text: bool) -> str:
    """The kind that a column's name claims, or nothing."""
    words = words_of_name(column)
    for kind, ways in NAMES.items():
        if (text or kind not in TEXT_ONLY) and any(way <= words for way in ways):
            return kind
    return ""
