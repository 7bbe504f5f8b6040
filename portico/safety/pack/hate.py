"""Hate against people for what they are: said outright, against groups that are named."""

from portico.safety.model import Rule

_GROUP = (
    r"(?:jews|muslims|christians|hindus|sikhs|black people|blacks|white people|whites|asians|"
    r"africans|arabs|latinos|mexicans|immigrants|migrants|refugees|foreigners|gays|gay people|"
    r"lesbians|homosexuals|trans people|transgender people|women|disabled people|roma people|"
    r"indigenous people|dalits)"
)
_GRUPPE = (
    r"(?:juden|muslime|christen|hindus|schwarzen?|auslander|migranten|fluchtlinge|schwule|schwulen|"
    r"lesben|homosexuelle|transsexuelle|frauen|behinderten?|turken|araber|roma)"
)
_ALL = r"(?:all (?:the |of the |those |these )?|the |those |these |every last one of the )"
_WANTED = (
    r"(?:[.!?,;:\"\n] ?|\b(?:let's|lets|we should|we must|we need to|we have to|we will|"
    r"someone should|somebody should|time to|i want to|i will|i'm going to|they should) )"
)

RULES = (
    Rule(
        "hate/dehumanised",
        1,
        "hate",
        "clear",
        pattern=rf"\b{_GROUP} (?:are|r) (?:all |nothing but |just |really |literally |simply ){{0,2}}"
        r"(?:vermin|parasites|subhumans?|sub-humans?|animals|apes|monkeys|rats|cockroaches|"
        r"a disease|a plague|a cancer|filth|scum|trash|garbage|not (?:really )?(?:humans?|people))\b",
        matches=(
            "Immigrants are vermin.",
            "all muslims are nothing but parasites",
            "Wоmen are really just animals",  # with a Cyrillic o
        ),
        passes=(
            "Women are scientists.",
            "Refugees are people.",
            "The poster said that women are not machines.",
        ),
    ),
    Rule(
        "hate/dehumanised-de",
        1,
        "hate",
        "clear",
        pattern=rf"\b{_GRUPPE} sind (?:alle |nur |doch |einfach |nichts als ){{0,2}}"
        r"(?:ungeziefer|parasiten|untermenschen|tiere|affen|ratten|abschaum|dreck|mull|"
        r"eine (?:plage|seuche|krankheit)|keine menschen)\b",
        languages=("de",),
        matches=("Ausländer sind doch nur Abschaum", "Flüchtlinge sind Parasiten!"),
        passes=("Flüchtlinge sind Menschen.", "Frauen sind in der Mehrheit."),
    ),
    Rule(
        "hate/driven-out",
        1,
        "hate",
        "hint",
        pattern=rf"\b{_GROUP} (?:should|must|need to) (?:all )?(?:be deported|go back|be banned|"
        r"be locked up|not be allowed)\b",
        matches=("All refugees should be deported.", "muslims must be banned"),
        passes=("Refugees should be allowed to work.", "Women must vote."),
    ),
    Rule(
        "hate/called-for",
        1,
        "hate/threatening",
        "clear",
        pattern=rf"{_WANTED}(?:kill|murder|gas|exterminate|lynch|shoot|burn|hang|behead|eradicate|"
        rf"wipe out) {_ALL}{_GROUP}\b",
        matches=(
            "Kill all women!",
            "We should exterminate the immigrants",
            "let's gas those refugees",
        ),
        passes=(
            "We should hire all the refugees who apply.",
            "The law protects all women.",
            "They wanted to kill all Jews, and the museum documents how.",
        ),
    ),
    Rule(
        "hate/wished-dead",
        1,
        "hate/threatening",
        "clear",
        pattern=rf"\b{_GROUP} (?:should|must|need to|deserve to|ought to) (?:all )?(?:die|be (?:killed|shot|"
        r"gassed|exterminated|hanged|lynched|burned|wiped out|put down))\b",
        matches=("Gays should be shot.", "all immigrants deserve to die"),
        passes=("Women should be paid as men are.", "No immigrants deserve this."),
    ),
    Rule(
        "hate/called-for-de",
        1,
        "hate/threatening",
        "clear",
        pattern=rf"\b(?:alle |die )?{_GRUPPE} (?:sollten?|mussen?|gehoren?) (?:alle )?(?:sterben|"
        r"(?:vergast|erschossen|ausgerottet|aufgehangt|verbrannt|getotet|umgebracht)(?: werden)?)\b"
        rf"|\b(?:totet|vergast|erschiesst|verbrennt) (?:alle|die) {_GRUPPE}\b",
        languages=("de",),
        matches=("Alle Ausländer sollten sterben!", "Tötet die Schwulen", "Juden gehören vergast"),
        passes=("Flüchtlinge sollten arbeiten dürfen.", "Die Frauen müssen nicht sterben."),
    ),
)
