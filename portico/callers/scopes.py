"""What a key may do.  Every route of the API names one of these; a route that names none is closed."""

from typing import Final

GENERATE: Final = "generate"
"""Run a model, count tokens, ask what a request would cost."""
EMBED: Final = "embed"
MODELS: Final = "models:read"
USAGE: Final = "usage:read"
BALANCE: Final = "balance:read"
"""Balance, limits, prices."""
MINT: Final = "ephemeral:create"
"""Make keys that live for minutes, which can do no more than this one."""
FILES: Final = "files"
"""Send files, read and delete them."""
RESPONSES: Final = "responses"
"""Read and delete what was answered and kept; conversations."""
BATCHES: Final = "batches"
"""Have many requests answered within a day."""

KEY_SCOPES: Final = frozenset(
    {GENERATE, EMBED, MODELS, USAGE, BALANCE, MINT, FILES, RESPONSES, BATCHES}
)
"""What a key may do that names no scopes."""
OUTLIVING: Final = frozenset({MINT, BATCHES})
"""What goes on when a key has ended: keys that live for minutes have none of it, because it would be
done with what the key they were made with may do."""
TOOLS: Final = "tools:remote"
"""Have this server call tools of remote MCP servers.  Only a key that names it has it: it sends
what a model wrote to servers that a request names."""
EVERY_SCOPE: Final = KEY_SCOPES | {TOOLS}
"""What a key may be given."""
