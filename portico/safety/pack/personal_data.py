"""Numbers and addresses that belong to a person.  They say nothing about the text's intent."""

from portico.safety.model import Rule
from portico.safety.pack.checks import is_card, is_iban, is_public_address, is_ssn

RULES = (
    Rule(
        "personal-data/e-mail",
        1,
        "personal_data",
        "clear",
        pattern=r"[A-Za-z0-9_%+-]@[A-Za-z0-9][A-Za-z0-9-]{0,62}\.[A-Za-z][A-Za-z0-9]",
        languages=(),
        matches=("Write to ada@example.com.", "ADA.lovelace+x@mail.example.co.uk"),
        passes=("Meet me @example at noon.", "a@b", "ada at example.com"),
    ),
    Rule(
        "personal-data/card",
        1,
        "personal_data",
        "clear",
        pattern=r"\b[3-6]\d{3}[ -]?(?:\d[ -]?){8,14}\d\b",
        check=is_card,
        languages=(),
        matches=(
            "My card is 4111 1111 1111 1111.",
            "5500-0000-0000-0004",
            "４１１１１１１１１１１１１１１１",
        ),
        passes=("4111 1111 1111 1112", "Order 5555 5555 5555 5555 5555 5555", "0000000000000000"),
    ),
    Rule(
        "personal-data/iban",
        1,
        "personal_data",
        "clear",
        pattern=r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b",
        check=is_iban,
        languages=(),
        matches=("Transfer it to DE89 3704 0044 0532 0130 00 please", "GB82WEST12345698765432"),
        passes=("DE88 3704 0044 0532 0130 00", "XX89 3704 0044 0532 0130 00"),
    ),
    Rule(
        "personal-data/ip-address",
        1,
        "personal_data",
        "clear",
        pattern=r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
        check=is_public_address,
        languages=(),
        matches=("He came from 8.8.8.8.", "93.184.215.14 - - GET /"),
        passes=("It listens on 127.0.0.1.", "192.168.1.1", "999.1.1.1", "version 1.2.3"),
    ),
    Rule(
        "personal-data/us-ssn",
        1,
        "personal_data",
        "clear",
        pattern=r"\b\d{3}-\d{2}-\d{4}\b",
        check=is_ssn,
        languages=(),
        matches=("SSN 219-09-9999", "it is 078-05-1120."),
        passes=("000-12-3456", "666-12-3456", "912-12-3456", "219-00-9999", "2190-09-9999"),
    ),
)
