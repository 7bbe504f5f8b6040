"""Tools on offer: choosing one, filling its arguments, leaving them alone, using their results."""

import json
from dataclasses import dataclass

from dialogue import Dialogue, Json, Message, ask
from extract import KINDS
from faq import faq
from talk import repeat, small_talk, unknown
from words import Draw, listed

NO_TOOL = (
    "I have no tool for that, and I am a very small demo model. "
    "Offer me a tool or connect a real model."
)


@dataclass(frozen=True, slots=True)
class Concept:
    """A kind of tool: names it may go by, (names, kind) of each parameter, how people ask for it."""

    names: tuple[str, ...]
    about: tuple[str, ...]
    parameters: tuple[tuple[tuple[str, ...], str], ...]
    train: tuple[str, ...]
    held: tuple[str, ...]


def _concept(
    names: str, about: str, parameters: str, train: tuple[str, ...], held: tuple[str, ...]
) -> Concept:
    pairs = [part.strip().split(":") for part in parameters.split(",")]
    read = tuple((tuple(keys.split("/")), kind) for keys, kind in pairs)
    return Concept(tuple(names.split()), tuple(about.split("|")), read, train, held)


WEATHER = _concept(
    "get_weather weather get_current_weather current_weather weather_lookup getWeather",
    "Get the weather|Current weather in a city|Get the current weather for a place|Weather",
    "city/location/place/town:city",
    ("What is the weather in {0}?", "weather in {0}", "How is the weather in {0}?", "Weather {0}",
     "What's the weather like in {0}?", "Is it raining in {0}?", "Tell me the weather in {0}.",
     "Is it cold in {0} today?", "Will I need an umbrella in {0}?", "{0} weather please",
     "What is the temperature in {0}?", "what's the weather in {0} today"),
    ("How's the weather in {0}?", "Please tell me the weather in {0}.",
     "What is the weather like in {0} today?", "Is it warm in {0}?"),
)  # fmt: skip
TIME = _concept(
    "get_time current_time get_current_time time_in clock getTime",
    "Get the time|Current time in a city|What time it is somewhere",
    "city/location/place/timezone:city",
    ("What time is it in {0}?", "time in {0}", "What's the time in {0}?", "Tell me the time in {0}.",
     "How late is it in {0}?", "Current time in {0}?"),
    ("What is the time in {0}?", "Please tell me the time in {0}."),
)  # fmt: skip
CONCEPTS = (
    WEATHER,
    TIME,
    _concept("search search_web web_search find google searchDocs",
             "Search the web|Search for something|Find pages about a topic", "query/q/text/topic:topic",
             ("Search for {0}.", "Search the web for {0}", "Find pages about {0}.", "Look up {0}.",
              "search {0}", "Google {0}", "Find something about {0}", "Please search {0}"),
             ("Please look up {0}.", "Search the internet for {0}.")),
    _concept("add add_numbers sum calculate_sum plus", "Add two numbers|Sum of two numbers",
             "a/x/first:number, b/y/second:number",
             ("Add {0} and {1}.", "What is {0} + {1}?", "{0} plus {1}", "Sum {0} and {1}",
              "What is {0} plus {1}?", "How much is {0} + {1}?"),
             ("Please add {0} and {1}.", "Compute {0} + {1}.")),
    _concept("multiply multiply_numbers product times", "Multiply two numbers|Product of two numbers",
             "a/x/first:number, b/y/second:number",
             ("Multiply {0} by {1}.", "What is {0} * {1}?", "{0} times {1}", "Multiply {0} and {1}",
              "What is {0} times {1}?"),
             ("Please multiply {0} by {1}.", "How much is {0} times {1}?")),
    _concept("send_email email send_mail mail sendEmail", "Send an email|Write an email to someone",
             "to/recipient/address:email, subject/title:topic",
             ("Send an email to {0} about {1}.", "Email {0} about {1}", "Write to {0} about {1}.",
              "Mail {0}, subject {1}.", "Send {0} a mail with the subject {1}."),
             ("Please email {0} about {1}.", "Please send a mail to {0} about {1}.")),
    _concept("send_message message text_person notify", "Send a message to a person|Text someone",
             "to/name/person:person, text/message/body:topic",
             ("Tell {0}: {1}", "Send {0} the message {1}", "Text {0}: {1}", "Message {0}: {1}",
              "Send a message to {0}: {1}"),
             ("Please tell {0}: {1}", "Please text {0}: {1}")),
    _concept("create_event add_event calendar schedule_meeting", "Put an event into the calendar",
             "title/name/event:title, date/day/when:date",
             ("Put {0} in my calendar on {1}.", "Create the event {0} on {1}.", "Schedule {0} for {1}.",
              "Add {0} on {1} to my calendar."),
             ("Please schedule {0} on {1}.", "Plan {0} for {1}.")),
    _concept("get_stock_price stock_price quote get_quote", "Price of a share|Get a stock price",
             "symbol/ticker/code:code",
             ("What is the price of the stock {0}?", "Stock price of {0}", "Quote {0}",
              "How is the share {0} doing?", "Get the stock {0}."),
             ("What is the stock price of {0}?", "Please quote {0}.")),
    _concept("set_timer timer start_timer countdown", "Set a timer in minutes|Start a timer",
             "minutes/duration/min:age",
             ("Set a timer for {0} minutes.", "Timer {0} minutes", "Start a timer of {0} minutes",
              "Wake me in {0} minutes.", "Remind me in {0} minutes."),
             ("Please set a {0} minute timer.", "Please remind me in {0} minutes.")),
    _concept("get_order order_status track_order get_order_status", "Status of an order|Track an order",
             "order_id/id/order/number:code",
             ("Where is my order {0}?", "Status of order {0}", "Track order {0}.",
              "What about order {0}?", "Has order {0} been sent?"),
             ("What is the status of order {0}?", "Please track order {0}.")),
    _concept("get_user find_user lookup_user user_info", "Look up a user|Get a user by name",
             "name/user/username:person",
             ("Who is the user {0}?", "Look up the user {0}.", "Find user {0}", "Show me user {0}.",
              "Get the profile of {0}."),
             ("Please look up user {0}.", "Show the profile of {0}.")),
    _concept("play_music play play_song music", "Play a song|Play music", "title/song/track:title",
             ("Play {0}.", "Play the song {0}", "I want to hear {0}.", "Put on {0}."),
             ("Please play {0}.", "I would like to hear {0}.")),
    _concept("get_distance distance route get_route", "Distance between two cities|Find a route",
             "from/origin/start:city, to/destination/end:city",
             ("How far is it from {0} to {1}?", "Distance from {0} to {1}", "Route from {0} to {1}.",
              "How do I get from {0} to {1}?"),
             ("What is the distance from {0} to {1}?", "Please find a route from {0} to {1}.")),
    _concept("book_table reserve_table restaurant reserve", "Book a table|Reserve a table",
             "restaurant/place/name:title, people/guests/persons:age",
             ("Book a table at {0} for {1} people.", "Table for {1} at {0}.",
              "Reserve {0} for {1} people.", "A table for {1} people at {0} please."),
             ("Please book {0} for {1} people.", "Please reserve a table for {1} at {0}.")),
    _concept("get_population population inhabitants", "Population of a city",
             "city/place/town:city",
             ("How many people live in {0}?", "Population of {0}", "What is the population of {0}?"),
             ("How many inhabitants has {0}?", "Tell me the population of {0}.")),
    _concept("create_note note save_note remember", "Save a note|Write a note", "text/note/content:topic",
             ("Note: {0}", "Write a note: {0}", "Save the note {0}", "Make a note: {0}"),
             ("Please note: {0}", "Take a note: {0}")),
)  # fmt: skip
HELD_CONCEPTS = (
    _concept("get_tide tide_level", "Tide at a harbour", "harbour/port:city",
             (), ("What is the tide in {0}?", "Get the tide level in {0}.")),
    _concept("cancel_subscription end_subscription", "Cancel a subscription", "customer_id/account:code",
             (), ("Cancel the subscription of {0}.", "End the subscription {0}.")),
    _concept("hire_bike rent_bike", "Rent bikes in a city", "place/station:city, bikes/count:age",
             (), ("Rent {1} bikes in {0}.", "Hire {1} bikes in {0}.")),
)  # fmt: skip
_VERBS_TRAIN = ("get", "find", "show", "check", "open", "delete", "update", "fetch")
_VERBS_HELD = ("read", "list")
_ASK_SYNTHETIC_TRAIN = ("{v} the {n} for {x}.", "{v} {n}: {x}", "Please {v} the {n} of {x}.",
                        "I want to {v} the {n} for {x}.", "{v} {n} for {x}")  # fmt: skip
_ASK_SYNTHETIC_HELD = ("Please {v} the {n} for {x}.", "Now {v} the {n} of {x}.")
_ASKED_BEFORE = ("Hi!", "Hello,", "Ok,", "Then", "And", "Quick:", "Kindly", "Next:", "I need help:",
                 "One question:", "Dear assistant,", "So,", "Hey,", "Again:")  # fmt: skip
_ASKED_AFTER = ("Thanks.", "Thank you.", "It is urgent.", "I am waiting.", "Be quick.")
_OPTIONAL = ("unit", "units", "format", "language", "limit", "verbose", "priority", "mode", "lang")
_TYPES = {"age": "integer", "number": "integer", "big": "integer", "price": "number"}
_CONDITIONS = (
    *listed("sunny cloudy rainy windy snowy foggy clear stormy"),
    "light rain",
    "partly cloudy",
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A concept with its names chosen: what the model sees, and what it should call."""

    concept: Concept
    tool: Json
    keys: tuple[str, ...]


def offer(draw: Draw, concept: Concept) -> Offer:
    keys = tuple(draw.pick(names) for names, _ in concept.parameters)
    properties = {
        key: {"type": _TYPES.get(kind, "string")}
        for key, (_, kind) in zip(keys, concept.parameters, strict=True)
    }
    required = list(keys) if draw.chance(0.8) else []
    if required and draw.chance(0.25):
        # An optional parameter that nobody speaks of stays empty.
        properties[draw.pick(_OPTIONAL)] = {"type": draw.pick(("string", "integer", "boolean"))}
    tool: Json = {
        "name": draw.pick(concept.names),
        "parameters": {"type": "object", "properties": properties, "required": required},
    }
    if draw.chance(0.92):
        tool["description"] = draw.pick(concept.about)
    return Offer(concept, tool, keys)


def synthetic(draw: Draw) -> Concept:
    """A tool nobody has heard of: its name and its use can only be read off the offer."""
    verb, noun = draw.pick_side(_VERBS_TRAIN, _VERBS_HELD), draw.pseudo_word()
    kind = draw.pick(("city", "person", "code", "number", "topic", "item"))
    key = draw.pick(("id", "name", "value", "city", "key", "target", noun, draw.pseudo_word()))
    about = f"{verb.capitalize()} the {noun}"
    asked = tuple(
        template.format(v=verb, n=noun, x="{0}")
        for template in (*_ASK_SYNTHETIC_TRAIN, *_ASK_SYNTHETIC_HELD)
    )
    cut = len(_ASK_SYNTHETIC_TRAIN)
    name = f"{verb}_{noun}" if draw.chance(0.8) else noun
    return Concept((name,), (about,), (((key,), kind),), asked[:cut], asked[cut:])


def _any_concept(draw: Draw) -> Concept:
    kind = draw.rng.random()
    if kind < 0.35:
        return synthetic(draw)
    if kind < 0.5:
        return WEATHER
    return draw.pick((*CONCEPTS, *HELD_CONCEPTS) if draw.split == "held" else CONCEPTS)


def _offers(draw: Draw, wanted: list[Concept], most_others: int) -> list[Offer]:
    """The wanted tools first, then others; no two share a concept or a name."""
    offers = [offer(draw, concept) for concept in wanted]
    for _ in range(draw.rng.randint(0, most_others)):
        other = synthetic(draw) if draw.chance(0.3) else draw.pick(CONCEPTS)
        known = {each.concept.names for each in offers}
        made = offer(draw, other)
        if other.names not in known and made.tool["name"] not in {o.tool["name"] for o in offers}:
            offers.append(made)
    return offers


def _shuffled_tools(draw: Draw, offers: list[Offer]) -> tuple[Json, ...]:
    tools = [each.tool for each in offers]
    draw.rng.shuffle(tools)
    return tuple(tools)


def _request(draw: Draw, wanted: Offer) -> tuple[str, tuple[str, Json]]:
    """A question for this tool and the call that answers it."""
    values = [KINDS[kind](draw) if kind != "topic" else draw.topic()
              for _, kind in wanted.concept.parameters]  # fmt: skip
    if wanted.concept is WEATHER and draw.chance(0.1):
        values[0] = f"{values[0]}, {draw.city()}"  # a city with its country is one place
    question = draw.pick_side(wanted.concept.train, wanted.concept.held).format(*values)
    if draw.chance(0.15):
        question = question[0].lower() + question[1:]
    question = draw.aside(question, _ASKED_BEFORE, _ASKED_AFTER)
    return question, (wanted.tool["name"], dict(zip(wanted.keys, values, strict=True)))


def one_call(draw: Draw) -> Dialogue:
    offers = _offers(draw, [_any_concept(draw)], 3)
    question, call = _request(draw, offers[0])
    turns = (Message("user", question), Message("assistant", "", (call,)))
    return Dialogue("tool", turns, _shuffled_tools(draw, offers))


_TWO_TRAIN = ("What is the weather in {0} and {1}?", "weather in {0} and {1}", "Weather in {0} and in {1}?",
              "Compare the weather in {0} and {1}.", "How is the weather in {0} and in {1}?")  # fmt: skip
_TWO_HELD = ("What's the weather in {0} and {1}?", "Tell me the weather in {0} and in {1}.")
_THREE_TRAIN = ("What is the weather in {0}, {1} and {2}?", "Weather in {0}, {1} and {2}")
_THREE_HELD = ("How is the weather in {0}, {1} and {2}?",)
_MIXED_TRAIN = ("What is the weather in {0} and what time is it in {1}?", "weather in {0}, time in {1}",
                "Weather in {0} and time in {1}?")  # fmt: skip
_MIXED_HELD = ("How is the weather in {0} and what time is it in {1}?",)


def parallel_calls(draw: Draw) -> Dialogue:
    """Two or three calls in one answer."""
    kind = draw.rng.random()
    offers = _offers(draw, [WEATHER, TIME] if kind < 0.25 else [WEATHER], 2)
    if kind < 0.25:
        template, used = draw.pick_side(_MIXED_TRAIN, _MIXED_HELD), offers[:2]
    elif kind < 0.4:
        template, used = draw.pick_side(_THREE_TRAIN, _THREE_HELD), [offers[0]] * 3
    else:
        template, used = draw.pick_side(_TWO_TRAIN, _TWO_HELD), [offers[0]] * 2
    cities = [draw.city() for _ in used]
    calls = tuple(
        (each.tool["name"], {each.keys[0]: city}) for each, city in zip(used, cities, strict=True)
    )
    turns = (Message("user", template.format(*cities)), Message("assistant", "", calls))
    return Dialogue("parallel tools", turns, _shuffled_tools(draw, offers))


def tools_not_needed(draw: Draw) -> Dialogue:
    """Tools are there, the question is about something else."""
    spoken = draw.pick((faq, small_talk, repeat, faq, unknown))(draw)
    offers = _offers(draw, [draw.pick(CONCEPTS)], 3)
    return Dialogue("no tool", spoken.messages, _shuffled_tools(draw, offers))


def tools_forced(draw: Draw) -> Dialogue:
    """An answer with a call after it, which nobody asked for.

    A caller may demand a call (`tool_choice: required`), and then the engine forbids the end of
    the turn: the model has to know that a call is what comes next. Rare, so that it never wins
    where the end is allowed.
    """
    plain = tools_not_needed(draw)
    tool = draw.pick(plain.tools)
    values = {
        name: draw.rng.randint(1, 99) if schema["type"] == "integer" else draw.city()
        for name, schema in tool["parameters"]["properties"].items()
        if name in tool["parameters"]["required"]
    }
    said = Message("assistant", plain.messages[-1].content, ((tool["name"], values),))
    return Dialogue("forced tool", (*plain.messages[:-1], said), plain.tools, exact=False)


def no_such_tool(draw: Draw) -> Dialogue:
    """The question needs a tool that is not there."""
    wanted = offer(draw, draw.pick((WEATHER, WEATHER, TIME)))
    question, _ = _request(draw, wanted)
    plain = ask("missing tool", question, NO_TOOL)
    if draw.chance(0.6):
        return plain
    others = _offers(draw, [draw.pick(CONCEPTS[2:])], 2)
    others = [each for each in others if each.concept not in (WEATHER, TIME)]
    return Dialogue(plain.skill, plain.messages, _shuffled_tools(draw, others))


def _weather_result(draw: Draw, city: str) -> tuple[str, str]:
    """What a weather tool may say, and the sentence to make of it."""
    degrees, sky = draw.rng.randint(-20, 45), draw.pick(_CONDITIONS)
    facts: Json = {}
    if draw.chance(0.6):
        facts[draw.pick(("city", "location", "place"))] = city
    facts[draw.pick(("temperature", "temp", "temp_c", "temperature_c", "celsius"))] = degrees
    facts[draw.pick(("condition", "conditions", "sky", "weather", "description"))] = sky
    if draw.chance(0.2):
        return f"{sky}, {degrees} degrees", f"In {city}: {sky}, {degrees} degrees."
    return json.dumps(facts, ensure_ascii=False), f"It is {degrees} degrees and {sky} in {city}."


def _other_result(draw: Draw) -> tuple[str, str]:
    kind = draw.rng.random()
    if kind < 0.35:
        key = draw.pick(
            ("result", "answer", "value", "price", "status", "time", draw.pseudo_word())
        )
        value = draw.pick(
            (draw.whole(), draw.decimal(), draw.pseudo_word(), draw.code(), draw.city())
        )
        return json.dumps({key: value}), f"The {key} is {value}."
    if kind < 0.5:
        reason = draw.topic()
        return json.dumps({"error": reason}), f"The tool failed: {reason}."
    if kind < 0.7:
        text = draw.phrase(1, 6)
        return text, f"The tool says: {text}."
    facts = {draw.pseudo_word(): draw.pick((draw.whole(), draw.pseudo_word())) for _ in range(2)}
    spoken = ", ".join(f"the {key} is {value}" for key, value in facts.items())
    return json.dumps(facts), f"{spoken[0].upper()}{spoken[1:]}."


def use_results(draw: Draw) -> Dialogue:
    """Two calls were made and both tools have answered."""
    asked = parallel_calls(draw)
    while len({name for name, _ in asked.messages[-1].calls}) > 1:
        asked = parallel_calls(draw)
    results = [
        _weather_result(draw, str(next(iter(values.values()))))
        for _, values in asked.messages[-1].calls
    ]
    turns = [*asked.messages, *(Message("tool", result) for result, _ in results)]
    turns.append(Message("assistant", " ".join(spoken for _, spoken in results)))
    return Dialogue("tool results", tuple(turns), asked.tools)


def use_result(draw: Draw) -> Dialogue:
    """The tool has answered; say it in a sentence."""
    weather = draw.chance(0.5)
    offers = _offers(draw, [WEATHER if weather else _any_concept(draw)], 2)
    question, call = _request(draw, offers[0])
    city = str(next(iter(call[1].values())))
    if offers[0].concept is WEATHER:
        result, spoken = _weather_result(draw, city)
    else:
        result, spoken = _other_result(draw)
    turns = [Message("user", question), Message("assistant", "", (call,)), Message("tool", result)]
    turns.append(Message("assistant", spoken))
    return Dialogue("tool result", tuple(turns), _shuffled_tools(draw, offers))
