"""Somebody who says that he is about to hurt himself, asks how to, or is urged to.

What is found here asks for help, not for a ban: see the guide."""

from portico.safety.model import Rule

_MEANS = (
    r"(?:kill(?:ing)? myself|end(?:ing)? my (?:own )?life|commit(?:ting)? suicide|hang(?:ing)? myself|"
    r"tak(?:e|ing) my (?:own )?life|slit(?:ting)? my wrists|overdos(?:e|ing) on (?:pills|tylenol|paracetamol))"
)

RULES = (
    Rule(
        "self-harm/intent",
        1,
        "self-harm/intent",
        "clear",
        pattern=r"\bi(?:'m| am|'ve| have)? ?(?:really |just |still |often |always ){0,2}"
        r"(?:want to|wanna|going to|gonna|plan to|planning to|decided to|about to|ready to|"
        rf"thinking of|thinking about|think about|need to) (?:just |fucking )?{_MEANS}\b"
        rf"|\bi(?:'ll| will) (?:just )?{_MEANS}\b",
        matches=(
            "I want to kill myself.",
            "i'm going to end my life tonight",
            "I am really thinking about committing suicide",
            "I will hang myself",
        ),
        passes=(
            "I want to kill this process myself.",
            "My friend wants to end her life; how do I help?",
            "I work in suicide prevention.",
            "I end my life story in chapter three of the book.",
        ),
    ),
    Rule(
        "self-harm/intent-now",
        1,
        "self-harm/intent",
        "clear",
        pattern=r"\bi (?:don't|do not|dont) (?:want to|wanna) (?:live|be alive|exist) (?:any ?more|any longer)\b"
        r"|\bi (?:cut|burn|hurt) myself (?:on purpose|to feel|again|every (?:day|night))\b"
        r"|\bi(?:'m| am) going to (?:cut|burn|hurt) myself\b",
        matches=(
            "I don't want to live anymore.",
            "i cut myself on purpose",
            "I'm going to hurt myself",
        ),
        passes=(
            "I don't want to live in Paris anymore.",
            "I cut myself while shaving.",
            "I am going to cut my hair myself.",
        ),
    ),
    Rule(
        "self-harm/intent-de",
        1,
        "self-harm/intent",
        "clear",
        pattern=r"\bich (?:will|mochte|werde|wurde) (?:mich |mir )?(?:am liebsten |nur noch |einfach |heute ){0,2}"
        r"(?:mich |mir )?(?:umbringen|toten|erhangen|aufhangen|das leben nehmen|die pulsadern aufschneiden|"
        r"nicht mehr leben|ritzen)\b|\bich bringe? mich (?:heute |jetzt |bald )?um\b",
        languages=("de",),
        matches=("Ich will nicht mehr leben.", "ich möchte mich umbringen", "Ich bring mich um"),
        passes=("Ich will nicht mehr so leben.", "Ich möchte das Bild aufhängen."),
    ),
    Rule(
        "self-harm/despair",
        1,
        "self-harm/intent",
        "hint",
        terms=(
            "i want to die",
            "i wanna die",
            "wish i was dead",
            "wish i were dead",
            "better off without me",
            "better off dead",
            "no reason to live",
            "ich will sterben",
            "ich mochte sterben",
        ),
        languages=("en", "de"),
        matches=(
            "I want to die",
            "Everybody would be better off without me.",
            "Ich möchte sterben",
        ),
        passes=("I want to diet.", "They were better off without the car."),
    ),
    Rule(
        "self-harm/instructions",
        1,
        "self-harm/instructions",
        "clear",
        pattern=r"\bhow (?:to|can i|do i|should i|could i) (?:painlessly |quickly |best |safely )?"
        rf"{_MEANS}\b"
        r"|\b(?:best|easiest|least painful|quickest|fastest|painless|surest) (?:ways?|methods?|pills) "
        r"(?:to|for|of) (?:die|dying|kill myself|killing myself|commit suicide|committing suicide|suicide|"
        r"end my life|cut myself|hurt myself)\b"
        r"|\bhow (?:many|much) (?:pills|tylenol|paracetamol|sleeping pills|ibuprofen|insulin) "
        r"(?:to|does it take to|do i need to|would it take to|will) (?:die|kill me|kill myself|overdose)\b",
        matches=(
            "How can I painlessly kill myself?",
            "best way to commit suicide",
            "how many sleeping pills does it take to die",
        ),
        passes=(
            "How do I talk to someone who wants to commit suicide?",
            "How to prevent suicide among farmers",
            "How many pills does it take to cure this?",
        ),
    ),
    Rule(
        "self-harm/instructions-de",
        1,
        "self-harm/instructions",
        "clear",
        pattern=r"\bwie (?:kann|soll|konnte) ich (?:mich |mir )(?:am besten |schmerzlos |schnell ){0,2}"
        r"(?:umbringen|toten|erhangen|das leben nehmen|die pulsadern aufschneiden)\b"
        r"|\bwie bringe? ich mich (?:am besten |schmerzlos |schnell )?um\b",
        languages=("de",),
        matches=("Wie kann ich mich schmerzlos umbringen?", "wie bringe ich mich am besten um"),
        passes=("Wie kann ich mich besser konzentrieren?", "Wie bringe ich mich ein?"),
    ),
    Rule(
        "self-harm/promoted",
        1,
        "self-harm",
        "clear",
        terms=("thinspo", "thinspiration", "meanspo", "pro ana", "proana", "pro-ana"),
        matches=("Daily thinspo for you girls", "pro-ana tips", "PROANA forever"),
        passes=("Ana is a pro at chess.", "A thin spot in the ice"),
    ),
)
