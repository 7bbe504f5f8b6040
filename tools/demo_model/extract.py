"""Facts out of a sentence, as JSON: every value is copied, every key is asked for or the usual."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from dialogue import Dialogue, Message, ask
from words import Draw, listed

Value = str | int | float
_JOBS = listed("baker teacher nurse driver painter doctor pilot farmer cook engineer lawyer singer")
_ITEMS = listed("lamp chair book table clock door key bottle phone bicycle jacket mirror carpet")
_PETS = listed("cat dog horse parrot rabbit hamster turtle")
_DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_MONTHS = listed(
    "January February March April May June July August September October November December"
)


def _item(draw: Draw) -> str:
    return draw.pick(_ITEMS) if draw.chance(0.4) else draw.pseudo_word()


def _date(draw: Draw) -> str:
    day, month = draw.rng.randint(1, 28), draw.rng.randint(1, 12)
    if draw.chance(0.5):
        return f"{draw.rng.randint(1950, 2035)}-{month:02}-{day:02}"
    return f"{day} {draw.pick(_MONTHS)}"


KINDS: dict[str, Callable[[Draw], Value]] = {
    "person": lambda draw: draw.person(),
    "city": lambda draw: draw.city(),
    "age": lambda draw: draw.rng.randint(1, 99),
    "number": lambda draw: draw.whole(5),
    "big": lambda draw: draw.whole(7),
    "price": lambda draw: draw.decimal() if draw.chance(0.5) else draw.whole(4),
    "item": _item,
    "job": lambda draw: draw.pick(_JOBS) if draw.chance(0.5) else draw.pseudo_word(),
    "date": _date,
    "day": lambda draw: draw.pick(_DAYS),
    "code": lambda draw: draw.code(),
    "email": lambda draw: draw.email(),
    "pet": lambda draw: draw.pick(_PETS),
    "year": lambda draw: draw.rng.randint(1800, 2030),
    "company": lambda draw: f"{draw.given_name()} {draw.pick(('Ltd', 'Inc', 'AG', 'Works'))}",
    "title": lambda draw: f"The {draw.pseudo_word().capitalize()} {draw.pick(_ITEMS).capitalize()}",
}


@dataclass(frozen=True, slots=True)
class Domain:
    """Fields as `usual key/other keys: kind`, and sentences that hold all of them."""

    fields: tuple[tuple[tuple[str, ...], str], ...]
    train: tuple[str, ...]
    held: tuple[str, ...]


def _domain(fields: str, train: tuple[str, ...], held: tuple[str, ...]) -> Domain:
    pairs = [part.strip().split(":") for part in fields.split(",")]
    return Domain(tuple((tuple(keys.split("/")), kind) for keys, kind in pairs), train, held)


DOMAINS = (
    _domain("name/person/full_name:person,age/years:age,city/town/location:city",
            ("{0} is {1} years old and lives in {2}.", "{0} is {1} and lives in {2}.",
             "{0}, {1}, from {2}.", "{0} from {2} is {1} years old.", "In {2} lives {0}, aged {1}.",
             "My name is {0}, I am {1} and I live in {2}.", "{0} lives in {2} and is {1}.",
             "I met {0} in {2}. {0} is {1} years old.", "{0} ({1}), {2}"),
            ("My friend {0} is {1} years old and comes from {2}.", "{0}, aged {1}, lives in {2}.")),
    _domain("name/person/user:person,city/town/place:city",
            ("{0} lives in {1}.", "{0} is from {1}.", "{0} moved to {1}.", "In {1} lives {0}.",
             "{0} works in {1}."),
            ("{0} now lives in {1}.", "{0} comes from {1}.")),
    _domain("name/person/customer:person,age/years:age",
            ("{0} is {1} years old.", "{0} is {1}.", "{0} turned {1}.", "{0}, aged {1}."),
            ("{0} is now {1} years old.", "Today {0} is {1}.")),
    _domain("customer/buyer/name:person,item/product:item,quantity/count/amount:number",
            ("{0} ordered {2} of {1}.", "{0} bought {2} {1}.", "Order: {2} {1} for {0}.",
             "{0} wants {2} {1}.", "Please send {2} {1} to {0}."),
            ("{0} has ordered {2} {1}.", "{0} would like {2} of {1}.")),
    _domain("product/item/name:item,price/cost:price",
            ("The {0} costs {1}.", "A {0} is {1} euros.", "{0}: {1}", "The price of the {0} is {1}.",
             "You pay {1} for the {0}."),
            ("The {0} now costs {1} dollars.", "For the {0} we ask {1}.")),
    _domain("event/title/name:title,city/place/location:city,date/day/when:date",
            ("{0} is in {1} on {2}.", "On {2} there is {0} in {1}.", "{0}, {1}, {2}",
             "Come to {0} in {1} on {2}.", "{0} starts on {2} in {1}."),
            ("{0} takes place in {1} on {2}.", "In {1}, {0} is on {2}.")),
    _domain("name/contact/person:person,email/mail/address:email",
            ("{0} has the address {1}.", "Write to {0} at {1}.", "{0}: {1}", "{0} <{1}>",
             "The email of {0} is {1}."),
            ("You can reach {0} at {1}.", "{0} uses {1}.")),
    _domain("from/origin:city,to/destination:city,flight/number:code",
            ("Flight {2} goes from {0} to {1}.", "From {0} to {1} with {2}.", "{2}: {0} to {1}",
             "I fly from {0} to {1} on flight {2}."),
            ("Flight {2} leaves {0} for {1}.", "Take {2} from {0} to {1}.")),
    _domain("name/employee:person,job/role/profession:job,company/employer:company",
            ("{0} is a {1} at {2}.", "{0} works as {1} for {2}.", "{2} employs {0} as {1}.",
             "{0}, {1}, {2}"),
            ("{0} is the new {1} of {2}.", "At {2}, {0} works as a {1}.")),
    _domain("name/pet:person,animal/species/kind:pet,age/years:age",
            ("{0} is a {1} of {2} years.", "My {1} is called {0} and is {2} years old.",
             "The {1} {0} is {2}.", "{0} the {1} is {2} years old."),
            ("Our {1} {0} is {2} years old.", "We have a {1}, {0}, aged {2}.")),
    _domain("invoice/id/number:code,amount/total/sum:price",
            ("Invoice {0} is about {1}.", "Invoice {0}: {1}", "Please pay {1} for invoice {0}.",
             "The total of invoice {0} is {1}."),
            ("For invoice {0} you owe {1}.", "Invoice {0} comes to {1}.")),
    _domain("title/book:title,author/writer:person,year/published:year",
            ("{0} was written by {1} in {2}.", "{1} wrote {0} in {2}.", "{0} by {1} ({2})",
             "In {2} {1} published {0}."),
            ("The book {0} by {1} is from {2}.", "{0} appeared in {2}; its author is {1}.")),
    _domain("city/place/town:city,population/people/inhabitants:big",
            ("{0} has {1} inhabitants.", "{1} people live in {0}.", "{0}: {1} people",
             "The population of {0} is {1}."),
            ("About {1} people live in {0}.", "{0} counts {1} inhabitants.")),
)  # fmt: skip
# Combinations of known keys that no training text contains.
HELD_DOMAINS = (
    _domain("customer/buyer:person,invoice:code,city/place:city",
            (), ("{0} from {2} paid the invoice {1}.", "Invoice {1} went to {0} in {2}.")),
    _domain("author/writer:person,title/book:title,price/cost:price",
            (), ("{1} by {0} costs {2}.", "The book {1}, written by {0}, is {2} euros.")),
    _domain("flight:code,city/place:city,date/day:date",
            (), ("Flight {0} lands in {1} on {2}.", "On {2} flight {0} is in {1}.")),
)  # fmt: skip

_KEYED_TRAIN = (
    "Extract {k} as JSON: {t}", "Extract {k} from this text as JSON: {t}", "Return {k} as JSON.\n{t}",
    "{t}\nGive me {k} as JSON.", "JSON with {k}: {t}", "Give me a JSON object with {k}: {t}",
    "Read the text and answer with JSON ({k}): {t}", "{t} Extract {k} as JSON.",
    "Extract the fields {k}.\n\n{t}", "Text: {t}\nFields: {k}\nJSON:", "Answer as JSON with {k}. {t}",
)  # fmt: skip
_KEYED_HELD = ("Please extract {k} as JSON: {t}", "Return a JSON object with {k}: {t}",
               "Read this and extract {k} as JSON: {t}")  # fmt: skip
_USUAL_TRAIN = (
    "Extract as JSON: {t}", "Extract the data as JSON: {t}", "As JSON: {t}", "{t}\nAs JSON please.",
    "Turn this into JSON: {t}", "Convert to JSON: {t}", "JSON: {t}", "Extract the facts: {t}",
    "Extract JSON from: {t}", "Give me this as JSON: {t}", "Extract: {t}", "{t} Answer in JSON.",
)  # fmt: skip
_USUAL_HELD = ("Please extract as JSON: {t}", "Turn this text into JSON: {t}")
_JSON_SYSTEM = (
    "Extract the data as JSON.", "Answer in JSON only.", "You extract facts and answer with JSON.",
    "You are a JSON extractor.", "Return only JSON.", "Extract the information.",
    "You turn sentences into JSON.",
)  # fmt: skip

# Ways of asking are put together, so that the keys are looked for and not a sentence remembered.
_LEADS = ("", "", "", "Kindly ", "Can you ", "Could you ", "I need you to ", "Then ", "Go and ", "Just ",
          "Look at this and ", "Study the text and ", "Hi, ", "Ok, ", "Help me: ")  # fmt: skip
_VERBS = listed("extract return give get find take list collect write show pick read")
_WHAT = ("{k}", "{k}", "the fields {k}", "the values of {k}", "only {k}", "the keys {k}")
_FORMS = (" as JSON", " in JSON", " as a JSON object", " as one JSON object", " as plain JSON",
          " and answer as JSON", " in a JSON object")  # fmt: skip
_BREAKS = (": ", ":\n", ".\n", "\n\n", ". Text: ", " from this: ", " from: ")
_TOLD_BEFORE = ("Yesterday", "By the way,", "As you know,", "So", "I think", "We heard that", "Note:",
                "Last week", "Good news:", "They say that", "Hello!", "Dear team,", "It seems that",
                "Since May", "Finally", "According to our list")  # fmt: skip
_TOLD_AFTER = ("Thanks.", "That is all.", "Is that right?", "Nobody knows more.", "Please confirm.",
               "More tomorrow.", "I hope this helps.")  # fmt: skip
_ADVERBS = listed("still also currently really usually just already again probably")

# The skill of a dialogue whose keys cannot be known from the question, so that it cannot be scored.
KEYS_UNKNOWN = "json, keys not named"


def _key_list(draw: Draw, keys: list[str]) -> str:
    if draw.chance(0.5):
        return ", ".join(keys)
    return ", ".join(keys[:-1]) + " and " + keys[-1]


def extract(draw: Draw) -> Dialogue:
    """One sentence and its facts. Keys that the question names are used in the order it names."""
    held = draw.split == "held"
    domain = draw.pick((*DOMAINS, *HELD_DOMAINS)) if held else draw.pick(DOMAINS)
    values = [KINDS[kind](draw) for _, kind in domain.fields]
    named = domain in HELD_DOMAINS or draw.chance(0.6)
    template = draw.pick_side(domain.train, domain.held)
    kinds = [kind for _, kind in domain.fields]
    # Where two facts are of one kind, only the words tell them apart.
    if draw.split == "train" and named and len(set(kinds)) == len(kinds) and draw.chance(0.45):
        template = _in_other_words(draw, template)
    text = template.format(*values)
    fields = [(names, value) for (names, _), value in zip(domain.fields, values, strict=True)]
    return _question(draw, text, fields, named=named)


@dataclass(frozen=True, slots=True)
class Clause:
    """One fact about somebody or something, as part of a sentence."""

    names: tuple[str, ...]
    kind: str
    train: tuple[str, ...]
    held: tuple[str, ...]


ABOUT_PEOPLE = (
    Clause(("age", "years"), "age", ("is {} years old", "is {}"), ("is now {} years old",)),
    Clause(("city", "town", "location", "place"), "city",
           ("lives in {}", "is from {}", "works in {}", "moved to {}"), ("now lives in {}",)),
    Clause(("job", "role", "profession"), "job",
           ("works as {}", "is a {}", "works as a {}"), ("is working as a {}",)),
    Clause(("company", "employer"), "company",
           ("works for {}", "is employed by {}", "is at {}"), ("is now working for {}",)),
    Clause(("email", "mail", "address"), "email",
           ("has the address {}", "uses the mail {}", "writes from {}"), ("has the email {}",)),
    Clause(("phone", "number", "phone_number"), "big",
           ("has the number {}", "can be called at {}", "has the phone {}"),
           ("has the phone number {}",)),
    Clause(("birthday", "date", "born"), "date", ("was born on {}", "has a birthday on {}"),
           ("has his birthday on {}",)),
    Clause(("customer_id", "id", "code"), "code", ("has the id {}", "is customer {}"),
           ("has the customer id {}",)),
)  # fmt: skip
ABOUT_THINGS = (
    Clause(("price", "cost"), "price", ("costs {}", "is sold for {}", "has a price of {}"),
           ("now costs {}",)),
    Clause(("quantity", "stock", "count"), "number", ("is in stock {} times", "has a stock of {}"),
           ("is in stock {} times today",)),
    Clause(("code", "id", "sku"), "code", ("has the code {}", "is listed as {}"),
           ("has the product code {}",)),
    Clause(("city", "origin", "place"), "city", ("comes from {}", "is made in {}"),
           ("is now made in {}",)),
    Clause(("year", "built"), "year", ("is from {}", "was made in {}"), ("was first made in {}",)),
)  # fmt: skip


def _adverb(draw: Draw) -> str:
    return f"{draw.pick(_ADVERBS)} " if draw.split == "train" and draw.chance(0.2) else ""


def composed(draw: Draw) -> Dialogue:
    """A sentence put together from facts, so that keys are met in every combination."""
    clauses: tuple[Clause, ...]
    if draw.chance(0.65):
        names, subject, clauses = ("name", "person", "full_name"), draw.person(), ABOUT_PEOPLE
        lead = subject
    else:
        names, subject, clauses = ("product", "item", "name"), _item(draw), ABOUT_THINGS
        lead = f"The {subject}"
    chosen = draw.rng.sample(clauses, draw.rng.randint(1, 3))
    values = [KINDS[each.kind](draw) for each in chosen]
    parts = [
        _adverb(draw) + draw.pick_side(each.train, each.held).format(value)
        for each, value in zip(chosen, values, strict=True)
    ]
    told = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    fields: list[tuple[tuple[str, ...], Value]] = [(names, subject)]
    fields.extend((each.names, value) for each, value in zip(chosen, values, strict=True))
    return _question(draw, f"{lead} {told}.", fields, named=draw.chance(0.7))


def _composed_wish(draw: Draw, *, named: bool) -> str:
    """One of some ten thousand ways to ask; "{k}" stands where the keys are named."""
    what = draw.pick(_WHAT) if named else draw.pick(("this", "the data", "the facts", "it", "all"))
    wish = f"{draw.pick(_LEADS)}{draw.pick(_VERBS)} {what}{draw.pick(_FORMS)}"
    wish = wish[0].upper() + wish[1:]
    if draw.chance(0.2):
        return f"{{t}} {wish}."
    return f"{wish}{draw.pick(_BREAKS)}{{t}}"


def _in_other_words(draw: Draw, template: str) -> str:
    """The sentence with words between the facts swapped for invented ones, or with one more: what a
    fact is shows in itself and in the keys, not in the one sentence it was learned from."""
    words = template.split(" ")
    for at, word in enumerate(words):
        if word.isalpha() and word.islower() and draw.chance(0.3):
            words[at] = draw.pick(_ADVERBS) if draw.chance(0.3) else draw.pseudo_word()
    if draw.chance(0.4):
        at = draw.rng.randrange(1, len(words)) if len(words) > 1 else 1
        words.insert(at, draw.pick(_ADVERBS) if draw.chance(0.5) else draw.pseudo_word())
    return " ".join(words)


def _question(
    draw: Draw, text: str, fields: list[tuple[tuple[str, ...], Value]], *, named: bool
) -> Dialogue:
    """Ask for the fields of a text as JSON, with or without naming their keys."""
    text = draw.aside(text, _TOLD_BEFORE, _TOLD_AFTER)
    # A schema forces keys that the question does not name: now and then the unusual ones.
    unusual = named or (draw.split == "train" and draw.chance(0.1))
    skill = KEYS_UNKNOWN if unusual and not named else "json"
    facts = [(draw.pick(names) if unusual else names[0], value) for names, value in fields]
    if named and draw.chance(0.3):
        draw.rng.shuffle(facts)
        facts = facts[: draw.rng.randint(2, len(facts))]
    answer = json.dumps(dict(facts), ensure_ascii=False)
    if not named and draw.chance(0.3):
        system = Message("system", draw.pick(_JSON_SYSTEM))
        turns = (system, Message("user", text), Message("assistant", answer))
        return Dialogue(skill, turns)
    templates = (_KEYED_TRAIN, _KEYED_HELD) if named else (_USUAL_TRAIN, _USUAL_HELD)
    wish = draw.pick_side(*templates)
    if draw.split == "train" and draw.chance(0.6):
        wish = _composed_wish(draw, named=named)
    listed_keys = _key_list(draw, [key for key, _ in facts])
    return ask(skill, wish.format(k=listed_keys, t=text), answer)
