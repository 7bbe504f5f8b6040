"""Corpus, tokenizer, training, export, evaluation and gate, in that order, with one command.

    tools/demo_model/.venv/bin/python tools/demo_model/build.py

Writes the model, its card and its digest into the package when, and only when, the gate is passed.
"""

import argparse
import hashlib
import itertools
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import card
import corpus
import torch
from dialogue import render
from evaluate import Scores, failures, score_all
from export import write_gguf
from llama import Llama, Shape
from tokenizers import Tokenizer
from tokens import train_tokenizer
from train import train

HERE = Path(__file__).parent
WORK = HERE / "build"
PACKAGE_DATA = HERE.parents[1] / "portico" / "engines" / "embedded" / "data"
NAME = "portico-demo-q8_0.gguf"
STEPS = 6500
_TOKENIZER_DIALOGUES = 20_000
_LEAST_BYTES, _MOST_BYTES = 1_500_000, 5_500_000


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with its tokenizer, the steps it took and the seconds they took here."""

    model: Llama
    tokenizer: Tokenizer
    steps: int
    seconds: float


def _learn(steps: int) -> Trained:
    print(f"tokenizer: {_TOKENIZER_DIALOGUES} dialogues", flush=True)
    sample = itertools.islice(corpus.dialogues(corpus.TRAIN_SEED, "train"), _TOKENIZER_DIALOGUES)
    tokenizer = train_tokenizer([render(each) for each in sample], WORK / "tokenizer.json")
    started_s = time.perf_counter()
    model = train(tokenizer, steps)
    seconds = time.perf_counter() - started_s
    saved = {"shape": asdict(model.shape), "weights": model.state_dict()}
    torch.save({**saved, "steps": steps, "seconds": seconds}, WORK / "model.pt")
    return Trained(model, tokenizer, steps, seconds)


def _read_back() -> Trained:
    saved = torch.load(WORK / "model.pt")
    model = Llama(Shape(**saved["shape"]))
    model.load_state_dict(saved["weights"])
    tokenizer = Tokenizer.from_file(str(WORK / "tokenizer.json"))
    return Trained(model, tokenizer, saved["steps"], saved["seconds"])


def _score(trained: Trained) -> tuple[Path, Scores, Scores]:
    """The Q8_0 file, its scores and those of the same weights in F16."""
    files = {True: WORK / NAME, False: WORK / "portico-demo-f16.gguf"}
    scores = {}
    for quantized, path in files.items():
        write_gguf(trained.model, trained.tokenizer, path, quantized=quantized)
        print(f"{path.name}: {path.stat().st_size} bytes", flush=True)
        scores[quantized] = score_all(path, path.with_suffix(".wrong.txt"))
    return files[True], scores[True], scores[False]


def _publish(file: Path, text: str, digest: str) -> None:
    PACKAGE_DATA.mkdir(parents=True, exist_ok=True)
    (PACKAGE_DATA / NAME).write_bytes(file.read_bytes())
    (PACKAGE_DATA / f"{NAME}.sha256").write_text(f"{digest}  {NAME}\n", encoding="ascii")
    (PACKAGE_DATA / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def main() -> int:
    """Exit code 0 when the model was published, 1 when it missed a target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="training steps (default %(default)s)"
    )
    parser.add_argument(
        "--trained", action="store_true", help="take the last training, only export and score it"
    )
    options = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    trained = _read_back() if options.trained else _learn(options.steps)
    file, q8_0, f16 = _score(trained)
    size_bytes = file.stat().st_size
    print(card.table(q8_0, f16), flush=True)
    missed = failures(q8_0)
    if not _LEAST_BYTES <= size_bytes <= _MOST_BYTES:
        missed.append(f"{size_bytes} bytes is outside {_LEAST_BYTES} to {_MOST_BYTES}")
    if missed:
        print("GATE MISSED, nothing published:\n" + "\n".join(missed), flush=True)
        return 1
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    parameters = sum(each.numel() for each in trained.model.parameters())
    facts = card.Facts(digest, size_bytes, parameters, trained.steps, trained.seconds)
    _publish(file, card.write(facts, trained.model.shape, q8_0, f16), digest)
    print(f"GATE PASSED, published {NAME}: {size_bytes} bytes, sha256 {digest}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
