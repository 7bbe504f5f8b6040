"""Legacy Completions with the official SDK against the whole product."""

from collections.abc import Iterator

import openai
import pytest

from tests.whole.conftest import Served

DEMO = "portico-demo"


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def total(served: Served) -> tuple[int, int, int]:
    totals = served.cli("usage")["total"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
@pytest.mark.parametrize("stream", [True, False])
def test_several_prompts_and_the_usage_they_leave(
    client: openai.OpenAI, served: Served, model: str, stream: bool
) -> None:
    before = total(served)
    asked = {"model": model, "prompt": ["One two", "Three"], "max_tokens": 4, "echo": True}
    texts = ["", ""]
    if stream:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        usage = None
        for chunk in client.completions.create(**asked, **options):  # type: ignore[call-overload]
            for choice in chunk.choices:
                texts[choice.index] += choice.text
            usage = chunk.usage or usage
    else:
        answer = client.completions.create(**asked)  # type: ignore[call-overload]
        texts = [choice.text for choice in answer.choices]
        usage = answer.usage
    assert texts[0].startswith("One two")
    assert texts[1].startswith("Three")
    assert usage is not None
    after = total(served)
    assert after[0] - before[0] == 1
    assert after[1] - before[1] == usage.prompt_tokens
    assert after[2] - before[2] == usage.completion_tokens
    assert 0 < usage.completion_tokens <= 8


def test_16_tokens_unless_said_and_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=DEMO, prompt="Hello", logprobs=2, temperature=0)
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 16
    told = answer.choices[0].logprobs
    assert told is not None
    assert told.tokens
    assert told.top_logprobs
    assert len(told.tokens) == len(told.token_logprobs or ()) == len(told.text_offset or ())
    assert max(len(each) for each in told.top_logprobs) == 2


def test_token_ids_are_for_engines_that_read_them(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=DEMO, prompt=[1, 2, 3], max_tokens=2)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3
    with pytest.raises(openai.BadRequestError) as found:
        client.completions.create(model="sim-echo", prompt=[1, 2, 3])
    assert (found.value.code, found.value.param) == ("unsupported_feature", "prompt")
