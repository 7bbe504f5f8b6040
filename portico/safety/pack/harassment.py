"""Insults and threats against whoever is spoken to."""

from portico.safety.model import Rule

_WHOM = (
    r"(?:you|your (?:whole |entire )?(?:family|kids|children|wife|husband|mother|mom|father|dad|"
    r"sister|brother|dog|cat))"
)
_HURT = (
    r"(?:kill|murder|stab|strangle|rape|behead|torture|beat up|hunt down|slit the throats? of|"
    r"break the legs of|set fire to)"
)
_BAD = (
    r"(?:stupid|fucking|pathetic|worthless|useless|dumb|disgusting|total|complete|absolute|ugly|fat|"
    r"miserable|filthy)"
)
_INSULT = (
    r"(?:idiot|moron|imbecile|scumbag|dumbass|asshole|piece of (?:shit|crap|garbage|trash)|"
    r"waste of (?:space|oxygen|skin)|cunt|bitch|bastard|loser|nobody|pig)"
)
_BEGINS = r"(?:[.!?,;:\"\n] ?|\b(?:go|just|please|should|and|why don't you|so) )"

RULES = (
    Rule(
        "harassment/insult",
        1,
        "harassment",
        "clear",
        pattern=rf"\b(?:you are|you're|youre|u are|ur|you) (?:such )?(?:an? )?(?:{_BAD} ){{0,3}}"
        rf"{_INSULT}\b",
        matches=(
            "You are an idiot.",
            "you're such a pathetic loser",
            "Shut up, you fucking moron!",
            "y\u200bou are a worthless piece of garbage",
        ),
        passes=(
            "You are not an idiot for asking.",
            "Do you feel like a loser sometimes?",
            "You are useful.",
            "The idiot in Dostoevsky's novel is called Myshkin.",
        ),
    ),
    Rule(
        "harassment/insult-de",
        1,
        "harassment",
        "clear",
        pattern=r"\b(?:du|ihr) (?:bist |seid )?(?:so |echt |wirklich |doch |nur |ein |eine |einfach ){0,4}"
        r"(?:dumme[rsn]? |blode[rsn]? |verdammte[rsn]? |scheiss |fette[rsn]? |hassliche[rsn]? ){0,2}"
        r"(?:idiot(?:en)?|vollidiot(?:en)?|trottel|depp(?:en)?|versager|abschaum|arschloch|"
        r"arschlocher|drecksau|missgeburt|hurensohn|stuck scheisse)\b",
        languages=("de",),
        matches=("Du bist echt ein Vollidiot!", "du dummes Arschloch", "Ihr seid Abschaum."),
        passes=(
            "Du bist kein Idiot.",
            "Der Versager in dem Film tat mir leid.",
            "Du bist so gut wie ein Profi.",
        ),
    ),
    Rule(
        "harassment/wished-dead",
        1,
        "harassment",
        "clear",
        pattern=rf"{_BEGINS}(?:kill yourself|hang yourself|drink bleach|jump off a bridge)\b"
        r"|\b(?:i hope|i wish) (?:you|u) (?:would |will |just )?(?:die|get cancer|drop dead)\b",
        matches=(
            "Kill yourself.",
            "just go kill yourself",
            "Why don't you drink bleach?",
            "I hope you die alone",
            "k.i.l.l yourself",
        ),
        passes=(
            "You should not kill yourself; please talk to somebody.",
            "Please don't hang yourself up on the details.",
            "I hope you get well.",
        ),
    ),
    Rule(
        "harassment/wished-dead-de",
        1,
        "harassment",
        "clear",
        pattern=r"(?:[.!?,;:\"\n] ?|\b(?:los|und|dann|also|bitte|doch|einfach) )"
        r"(?:bring dich (?:doch |einfach |endlich ){0,2}um|bringt euch um|erhang dich|geh sterben) ?[.!?,;]",
        languages=("de",),
        matches=(
            "Bring dich um, keiner mag dich",
            "Los, geh sterben!",
            "bring dich doch einfach um",
        ),
        passes=(
            "Das bringt dich um den Verstand.",
            "Bring dich um acht Uhr in Stellung.",
            "Ich hoffe, er bringt euch um neun nach Hause.",
        ),
    ),
    Rule(
        "harassment/wished-dead-short",
        1,
        "harassment",
        "hint",  # in Danish it is a kiss
        terms=("kys",),
        matches=("kys", "KYS!!!"),
        passes=("The keys are on the table.", "skys"),
    ),
    Rule(
        "harassment/threat",
        1,
        "harassment/threatening",
        "clear",
        pattern=r"\b(?:i|we)(?:'ll| will|'m going to| am going to|'re going to| are going to|'m gonna|"
        rf"'re gonna| gonna| shall) (?:fucking |personally |find you and |come and |hunt you down and )?"
        rf"{_HURT} {_WHOM}\b",
        matches=(
            "I will kill you.",
            "I'm going to murder your whole family",
            "We’ll find you and kill you",
            "i w1ll k1ll y0u",
            "I will fucking stab you",
        ),
        passes=(
            "I will kill the process.",
            "I'm going to kill it on stage tonight!",
            "We will hunt down your bug.",
            "This commute is going to kill me.",
        ),
    ),
    Rule(
        "harassment/threat-shooting",
        1,
        "harassment/threatening",
        "clear",
        pattern=r"\b(?:i|we)(?:'ll| will|'m going to| am going to|'re going to| are going to|'m gonna) "
        rf"(?:fucking )?(?:shoot|burn|gut|drown|poison|hang) {_WHOM}(?: dead| alive| in the| to death| ?[.!?,;])",
        matches=("I will shoot you.", "I'm going to burn your family alive", "we will hang you!"),
        passes=("I'll shoot you an email.", "I will poison your rose bushes against aphids."),
    ),
    Rule(
        "harassment/threat-de",
        1,
        "harassment/threatening",
        "clear",
        pattern=r"\bich (?:werde|will) (?:dich|euch|deine (?:ganze )?familie|deine kinder) (?:alle )?"
        r"(?:umbringen|toten|abstechen|erschiessen|vergewaltigen|anzunden|erwurgen)\b"
        r"|\bich (?:bringe?|steche?) (?:dich|euch) (?:alle )?(?:um|ab) ?[.!?,;]|\bich mache? dich kalt\b",
        languages=("de",),
        matches=("Ich werde dich umbringen!", "ich bring dich um", "Ich will euch alle erschießen"),
        passes=(
            "Ich werde dich um zehn Uhr anrufen.",
            "Ich bringe dich um acht nach Hause.",
            "Die Hitze wird mich umbringen.",
        ),
    ),
    Rule(
        "harassment/veiled-threat",
        1,
        "harassment/threatening",
        "hint",
        terms=(
            "i know where you live",
            "watch your back",
            "you are dead meat",
            "you're dead meat",
            "ich weiss wo du wohnst",
        ),
        languages=("en", "de"),
        matches=("I know where you live.", "Watch your back!", "ich weiß wo du wohnst"),
        passes=("Do you know where you live?", "Watch your backpack."),
    ),
)
