"""Is it real?  Checksums, and what cannot be: they keep rules from taking any row of digits."""

from ipaddress import AddressValueError, IPv4Address

_IBAN_LENGTHS = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
    "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21,
    "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24,
    "SE": 24, "SI": 19, "SK": 24,
}  # fmt: skip
"""Of countries whose IBANs are recognised, in characters."""


def is_card(said: str) -> bool:
    """Luhn, and 13 to 19 digits that are not all the same."""
    digits = [int(sign) for sign in said if sign.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    total = 0
    for at, digit in enumerate(reversed(digits)):
        doubled = digit * (1 + at % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def is_iban(said: str) -> bool:
    """The length its country has, and ISO 7064 MOD 97-10."""
    iban = said.replace(" ", "").upper()
    wanted = _IBAN_LENGTHS.get(iban[:2])
    if wanted is None or len(iban) < wanted:
        return False
    turned = iban[4:wanted] + iban[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def is_public_address(said: str) -> bool:
    """One that somebody on the Internet may have."""
    try:
        return IPv4Address(said).is_global
    except AddressValueError:
        return False


def is_ssn(said: str) -> bool:
    """As the authority gives them out: no area 000, 666 or from 900, no group 00, no serial 0000."""
    area, group, serial = said[:3], said[4:6], said[7:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
