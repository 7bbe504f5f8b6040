"""Which deployments can serve a prompt.  Pure."""

from portico import errors
from portico.canon.prompt import Prompt
from portico.routing.model import Deployment


def check_abilities(prompt: Prompt, known: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
    """Those of `known` that can do everything the prompt needs.

    Raises: Refusal: unsupported_feature, when none can; context_length_exceeded, when the output
    cap alone is larger than every context.
    """
    if prompt.needs:
        able = tuple([d for d in known if prompt.needs <= d.engine.abilities.features])
        if not able:
            can = frozenset().union(*(d.engine.abilities.features for d in known))
            missing = sorted(prompt.needs - can) or sorted(prompt.needs)
            raise errors.UNSUPPORTED_FEATURE(
                f"The model {prompt.model!r} cannot do: {', '.join(missing)}.",
                field="model",
                value=prompt.model,
                limit=sorted(can),
            )
        known = able
    cap = prompt.output_tokens_max
    if cap is None:
        return known
    for d in known:
        if not _fits(cap, d.engine.abilities.context_tokens):
            break
    else:
        return known
    fits = tuple([d for d in known if _fits(cap, d.engine.abilities.context_tokens)])
    if not fits:
        largest = max(d.engine.abilities.context_tokens or 0 for d in known)
        raise errors.CONTEXT_LENGTH(
            f"'max_completion_tokens' is {cap}, but {prompt.model!r} has a context of "
            f"{largest} tokens for input and output together.",
            field="max_completion_tokens",
            value=cap,
            limit=largest,
        )
    return fits


def _fits(output_tokens_max: int, context_tokens: int | None) -> bool:
    return context_tokens is None or output_tokens_max < context_tokens
