"""Make Portkey 1.15.2 stream with today's dependencies: one expression, without which it answers 500.

Its stream handler hands the upstream's immutable headers on, and the next step appends to them.
The replacement copies them.  Usage: python3 patch_portkey.py PATH/start-server.js
"""

import sys
from pathlib import Path

BEFORE = "):new Response(p,e)}const "
AFTER = "):new Response(p,{status:e.status,headers:new Headers(e.headers)})}const "


def main() -> int:
    path = Path(sys.argv[1])
    text = path.read_text()
    if AFTER in text:
        return 0
    if text.count(BEFORE) != 1:
        print(
            f"{path}: not the version this patch was written for; nothing changed", file=sys.stderr
        )
        return 1
    path.write_text(text.replace(BEFORE, AFTER))
    return 0


if __name__ == "__main__":
    sys.exit(main())
