"""Make the organisation of a running server pay: prepaid terms, a price for every model of the mock,
credit that does not run out, and a budget above it.

    python bench/lab/paying.py DATA_DIR
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from model import MODELS

SCRIPT = Path(sys.executable).parent / "portico"
NOTICED_S = 3.0
"""A running server takes new prices and terms within two seconds."""


def portico(data_dir: str, *words: str) -> dict[str, object]:
    command = [str(SCRIPT), *words, "--data-dir", data_dir, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[str, object] = json.loads(done.stdout)
    return said


def main() -> None:
    data_dir = sys.argv[1]
    terms = portico(data_dir, "terms", "show")["terms"]
    assert isinstance(terms, list)
    organisation = terms[0]["organisation_id"]
    for model in MODELS:
        portico(data_dir, "price", "set", model, "--input", "0.5", "--output", "1.5")
    portico(data_dir, "credit", "grant", organisation, "--usd", "1000000000")
    budget = ("budget", "set", "organisation", organisation, "--period", "month")
    portico(data_dir, *budget, "--usd", "1000000000")
    portico(data_dir, "terms", "set", organisation, "--kind", "prepaid")
    time.sleep(NOTICED_S)


if __name__ == "__main__":
    main()
