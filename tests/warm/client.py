"""The word `portico` on the PATH of a page: has the command run by the warm process of the tests.

WARM_PORTICO: its socket.  Loads next to nothing; hands on signals, and ends as the command ended.
"""

import marshal
import os
import signal
import socket
import sys


def main() -> int:
    body = marshal.dumps((sys.argv[1:], os.getcwd(), dict(os.environ)))
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.environ["WARM_PORTICO"])
        socket.send_fds(asking, [len(body).to_bytes(4, "big")], [0, 1, 2])
        asking.sendall(body)
        with asking.makefile() as answers:
            pid = int(answers.readline())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda received, _: os.kill(pid, received))
            code = int(answers.readline())
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
