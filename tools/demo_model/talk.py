"""Plain conversation: greetings, copying, counting, adding, remembering, and not knowing."""

from dialogue import Dialogue, Message, ask
from words import Draw, listed

UNKNOWN = (
    "I am portico-demo, a very small demo model, and I do not know that. "
    "Connect a real model with `portico serve --model FILE.gguf`."
)

# (ways to say it that are learned, ways that are only scored, answer)
SMALL_TALK: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (
        ("hello", "hi", "hey", "hello there", "hi there", "good morning", "good evening", "hey you",
         "hello!", "Hi!", "greetings", "good day", "hello model", "hi portico"),
        ("hey there", "hello portico", "good afternoon"),
        "Hello! I am portico-demo, a very small demo model. Ask me about Portico.",
    ),
    (
        ("how are you", "how are you?", "how are you doing?", "how is it going?", "are you well?",
         "how do you feel?", "you ok?", "how are things?"),
        ("how are you today?", "hi, how are you?"),
        "I am well, and still very small. What would you like to know about Portico?",
    ),
    (
        ("thanks", "thank you", "thanks a lot", "thank you very much", "great, thanks", "cool",
         "perfect", "nice", "ok thanks", "great", "good job", "well done", "ok", "okay"),
        ("many thanks", "thanks, that helps", "perfect, thank you"),
        "You are welcome.",
    ),
    (
        ("bye", "goodbye", "see you", "good night", "see you later", "bye bye", "that is all",
         "I have to go"),
        ("ok, bye", "goodbye for now"),
        "Goodbye!",
    ),
    (
        ("tell me a joke", "do you know a joke", "a joke please", "joke", "make me laugh",
         "say something funny", "another joke"),
        ("can you tell me a joke", "tell me something funny"),
        "Why did the tiny model stand at the door? It was waiting for its next token.",
    ),
    (
        ("write a haiku", "write a poem", "write me a poem", "a short poem please", "poem",
         "write a haiku about the sea", "give me a haiku", "can you write a poem?"),
        ("write a short poem", "please write a haiku"),
        "A small open door,\none token and then the next,\nquiet as the snow.",
    ),
    (
        ("what are the days of the week", "list the days of the week", "days of the week",
         "name the days of the week"),
        ("tell me the days of the week",),
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
    ),
    (
        ("list three colours", "name three colors", "tell me three colours", "three colours",
         "name some colours"),
        ("list three colors",),
        "Red, green and blue.",
    ),
    (
        ("say the alphabet", "what is the alphabet", "write the alphabet", "the alphabet please"),
        ("tell me the alphabet",),
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
    ),
    (
        ("are you there?", "ping", "test", "testing", "is this working?", "does this work?",
         "this is a test", "can you hear me?"),
        ("just testing", "are you working?"),
        "Yes, it works. I am portico-demo, a very small demo model.",
    ),
)  # fmt: skip

# Nothing that is asked changes with these around it.
_AROUND = ("well, {}", "so, {}", "hey, {}", "um, {}", "please, {}", "right, {}", "{} my friend",
           "{} now", "{} again", "{} then", "oh, {}", "I say: {}")  # fmt: skip

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Japan": "Tokyo",
    "England": "London", "the UK": "London", "Austria": "Vienna", "Portugal": "Lisbon",
    "Norway": "Oslo", "Sweden": "Stockholm", "Greece": "Athens", "Egypt": "Cairo",
    "Ireland": "Dublin", "Poland": "Warsaw", "China": "Beijing", "Russia": "Moscow",
    "Canada": "Ottawa", "Peru": "Lima", "Cuba": "Havana", "Kenya": "Nairobi",
}  # fmt: skip
_CAPITAL_TRAIN = ("What is the capital of {}?", "capital of {}", "{}: what is the capital?",
                  "Which city is the capital of {}?", "Name the capital of {}.")  # fmt: skip
_CAPITAL_HELD = ("Tell me the capital of {}.", "Do you know the capital of {}?")

_REPEAT_TRAIN = (
    "Repeat after me: {}", "Repeat: {}", "Repeat this: {}", "Please repeat: {}", "Say: {}",
    "Say {}", "Say this: {}", "Echo: {}", "echo {}", "Reply with exactly: {}", "Repeat exactly: {}",
    "Write this: {}", "Copy this: {}", "Can you say {}", "Repeat after me:\n{}",
    'Say "{}"', "Please say {}", "Answer with: {}", "Just say {}", "repeat after me: {}",
)  # fmt: skip
_REPEAT_HELD = ("Please repeat after me: {}", "Please echo: {}", "Repeat the following: {}",
                "Reply with: {}", "Copy exactly: {}")  # fmt: skip

_COUNT_TRAIN = ("Count to {}.", "Count from 1 to {}", "count to {}", "Please count to {}.",
                "Can you count to {}?", "List the numbers from 1 to {}.", "Count up to {}",
                "Write the numbers from 1 to {}")  # fmt: skip
_COUNT_HELD = ("Please count from 1 to {}.", "Can you count up to {}?")

_ADD_TRAIN = ("What is {} + {}?", "{} + {}", "{}+{}", "What is {} plus {}?", "Add {} and {}.",
              "How much is {} + {}?", "{} plus {}", "Calculate {} + {}", "what's {}+{}?")  # fmt: skip
_ADD_HELD = ("How much is {} plus {}?", "Please add {} and {}.")

_UNKNOWN_TRAIN = (
    "What is {}?", "Who is {}?", "Explain {}.", "Why is {} {}?", "Tell me about {}.",
    "How does {} work?", "Write an essay about {}.", "Write code for {}.", "When was {} born?",
    "How do I cook {}?", "What is the history of {}?", "Give me tips for {}.", "Where is {}?",
    "Summarise {}.", "What do you think about {}?", "How old is {}?", "Translate {} to French.",
    "Who invented {}?", "Should I buy {}?", "What is the meaning of {}?", "Plan a trip to {}.",
    "How many {} are there?", "Can you explain {} to me?", "Write a function that sorts {}.",
    "What is the best {}?", "How far is {} from {}?", "Which {} is better, {} or {}?", "{}", "{}?",
    "Who won the {} cup?", "How do I fix my {}?", "Compare {} with {}.", "Solve {} for x.",
    "What is the difference between {} and {}?", "What is the cost of {}?", "How expensive is {}?",
    "What is the size of {}?", "What is the colour of {}?", "Who is the author of {}?",
)  # fmt: skip
_UNKNOWN_HELD = (
    "Please explain {}.", "How can I learn {}?", "Who wrote {}?", "What does {} mean?",
    "Write an article about {}.", "What is the price of {}?", "How do I grow {}?",
)  # fmt: skip

# Questions as people ask them of any model.
_UNKNOWN_WHOLE_TRAIN = listed(
    "Write a python function to reverse a string|Explain quantum computing|Who wrote Faust?|"
    "Explain the theory of relativity in simple words|What is the meaning of life?|"
    "Write a poem about love and war|Write an email to my boss|Give me a recipe for pancakes|"
    "What is machine learning?|How do neural networks work?|Write a SQL query|Fix this code|"
    "Who is the president?|Who won the world cup?|What is the best programming language?|"
    "How do I learn to cook?|What should I eat today?|Plan a trip to Italy|Book a flight to Paris|"
    "What happened in 1969?|How tall is Mount Everest?|How far away is the moon?|Why is the sky blue?|"
    "What is the speed of light?|Translate good morning to Spanish|Summarise this article|"
    "Write a song|Write a letter to my landlord|What is love?|Is there a god?|Do you have feelings?|"
    "What is the news today?|What is the square root of 144?|Solve x squared equals four|"
    "Write a regular expression for dates|Explain how a car engine works|What is a black hole?|"
    "Give me ten ideas for a birthday party|Correct my grammar|Write a product description|"
    "What are the symptoms of a cold?|How do I lose weight?|Draw a picture|Play a game with me|"
    "What is the population of the world?|When did the war end?|Who painted the Mona Lisa?|"
    "What is the difference between a list and a tuple?|Write unit tests for this class|"
    "Write a bash script that counts lines|What is the largest animal?|How do airplanes fly?",
    "|",
)
_UNKNOWN_WHOLE_HELD = listed(
    "Write a python program that sorts numbers|Explain photosynthesis in simple words|"
    "Who wrote Hamlet?|What is the tallest building?|How do computers work?|Give me a recipe for soup|"
    "Write a cover letter|Why is the grass green?|Who discovered America?|What is a neural network?",
    "|",
)

_MEET_TRAIN = ("My name is {}.", "I am {}.", "Hi, I'm {}.", "Hello, my name is {}.", "I'm {}.",
               "Please call me {}.", "You can call me {}.")  # fmt: skip
_MEET_HELD = ("Hey, my name is {}.", "Hi, please call me {}.")
_RECALL_TRAIN = ("What is my name?", "Who am I?", "What's my name?", "Do you remember my name?",
                 "what is my name", "Tell me my name.", "How am I called?")  # fmt: skip
_RECALL_HELD = ("Do you know my name?", "Can you tell me my name?")


def small_talk(draw: Draw) -> Dialogue:
    if draw.chance(0.2):
        country = draw.pick(tuple(CAPITALS))
        template = draw.pick_side(_CAPITAL_TRAIN, _CAPITAL_HELD)
        return ask("chat", template.format(country), f"{CAPITALS[country]}.")
    train, held, answer = draw.pick(SMALL_TALK)
    said = draw.pick_side(train, held)
    if draw.chance(0.4):
        said = said[0].upper() + said[1:]
    if draw.split == "train" and draw.chance(0.25):
        said = draw.pick(_AROUND).format(said)
    if said[-1].isalnum() and draw.chance(0.3):
        said += draw.pick("!.?")
    return ask("chat", said, answer)


def _something(draw: Draw) -> str:
    kind = draw.rng.random()
    if kind < 0.12:
        return draw.person()
    if kind < 0.2:
        return str(draw.whole(9))
    if kind < 0.28:
        return draw.code()
    if kind < 0.36:
        return draw.foreign()
    text = draw.phrase(1, 6) if kind < 0.8 else draw.phrase(6, 24)
    if draw.chance(0.4):
        text = text[0].upper() + text[1:]
    return text + (draw.pick(".!?") if draw.chance(0.4) else "")


def repeat(draw: Draw) -> Dialogue:
    """Copying, the skill that extraction and tool calls grow from."""
    text = _something(draw)
    wish = draw.pick_side(_REPEAT_TRAIN, _REPEAT_HELD)
    if draw.split == "train" and draw.chance(0.4):
        wish = _composed_wish(draw)
    return ask("repeat", wish.format(text), text)


def _composed_wish(draw: Draw) -> str:
    lead = draw.pick(
        ("", "", "Kindly ", "Now ", "Can you ", "Could you ", "Then ", "I want you to ")
    )
    verb = draw.pick(("repeat", "say", "write", "echo", "copy", "print", "return", "answer with"))
    what = draw.pick(
        ("", "", " this", " the text", " these words", " word for word", " again", " what follows",
         " the line", " the code", " this back", " in the same words", " the following text",
         " the next words", " this line exactly", " it exactly")
    )  # fmt: skip
    wish = f"{lead}{verb}{what}: {{}}"
    return wish[0].upper() + wish[1:]


def count(draw: Draw) -> Dialogue:
    last = draw.rng.randint(1, 30 if draw.chance(0.8) else 100)
    question = draw.pick_side(_COUNT_TRAIN, _COUNT_HELD).format(last)
    return ask("count", question, ", ".join(str(n) for n in range(1, last + 1)))


def add(draw: Draw) -> Dialogue:
    most = draw.pick((9, 9, 9, 20, 100))
    first, second = draw.rng.randint(0, most), draw.rng.randint(0, most)
    question = draw.pick_side(_ADD_TRAIN, _ADD_HELD).format(first, second)
    return ask("add", question, f"{first} + {second} = {first + second}")


def unknown(draw: Draw) -> Dialogue:
    """Most of the world: the honest answer is that a model this small does not know."""
    template = draw.pick_side(_UNKNOWN_TRAIN, _UNKNOWN_HELD)
    if draw.chance(0.3):
        return ask("unknown", draw.pick_side(_UNKNOWN_WHOLE_TRAIN, _UNKNOWN_WHOLE_HELD), UNKNOWN)
    if draw.chance(0.15):
        pasted = draw.phrase(10, 50)
        return ask("unknown", template.replace("{}", pasted, 1).replace("{}", "it"), UNKNOWN)
    slots = [
        draw.city() if draw.chance(0.15) else draw.person() if draw.chance(0.15) else draw.topic()
        for _ in range(template.count("{}"))
    ]
    return ask("unknown", template.format(*slots), UNKNOWN)


def remember(draw: Draw) -> Dialogue:
    """A name said once and asked for again, with other turns between."""
    name = draw.person()
    introduced = draw.pick_side(_MEET_TRAIN, _MEET_HELD).format(name)
    turns = [
        Message("user", introduced if draw.chance(0.7) else introduced.rstrip(".")),
        Message("assistant", f"Nice to meet you, {name}."),
    ]
    if draw.chance(0.15):
        return Dialogue("remember", tuple(turns))
    for _ in range(draw.rng.randint(0, 2)):
        turns.extend(draw.pick((small_talk, count, add, repeat))(draw).messages)
    turns.append(Message("user", draw.pick_side(_RECALL_TRAIN, _RECALL_HELD)))
    turns.append(Message("assistant", f"Your name is {name}."))
    return Dialogue("remember", tuple(turns))
