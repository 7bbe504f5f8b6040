"""What vectors and legacy Completions cost, at a server whose organisation pays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.whole.conftest import Served
from tests.whole.test_money import CENT, IN_NANO, LIGHT, OUT_NANO, Bank
from tests.whole.wire import eventually, get

TEXTS = ["The front door to a model.", "Another text, a little longer than the first."]


@pytest.fixture
def paying(serve: Callable[..., Served], tmp_path: Path) -> tuple[Served, Bank]:
    served = serve("--simulated", data_dir=tmp_path / "data", env=LIGHT)
    bank = Bank(served)
    served.cli("terms", "set", bank.organisation, "--kind", "prepaid")
    served.cli("price", "set", "sim-embed", "--input", "1", "--output", "0")
    served.cli("price", "set", "sim-lorem", "--input", "1", "--output", "10")
    bank.grant(CENT)
    eventually(lambda: bank.balance()["terms"] == "prepaid")
    eventually(lambda: len(json.loads(get(served, "/v1/prices")[2])["data"]) == 4)
    return served, bank


def test_vectors_cost_their_input_and_completions_every_choice(
    paying: tuple[Served, Bank],
) -> None:
    served, bank = paying
    spent = 0
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        vectors = client.embeddings.with_raw_response.create(model="sim-embed", input=TEXTS)
        used = vectors.parse().usage.prompt_tokens
        assert used > 0
        assert int(vectors.headers["portico-cost-nano-usd"]) == used * IN_NANO
        spent += used * IN_NANO

        asked: dict[str, Any] = {"model": "sim-lorem", "prompt": TEXTS, "n": 2, "max_tokens": 5}
        said = client.completions.with_raw_response.create(**asked)
        usage = said.parse().usage
        assert usage is not None
        assert usage.completion_tokens == 4 * 5
        cost = usage.prompt_tokens * IN_NANO + usage.completion_tokens * OUT_NANO
        assert int(said.headers["portico-cost-nano-usd"]) == cost
        spent += cost
    assert bank.balance()["available_nano_usd"] == str(CENT - spent)
    over, net = bank.row(
        "SELECT min(amount_nano - net_nano), sum(net_nano) FROM hold JOIN charge USING (id)"
    )
    assert net == spent
    assert over >= 0, "what was set aside was enough"
    bank.check()
