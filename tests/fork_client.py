"""`fork_client.py ADDRESS -m PROGRAM …`: runs a program of Regulars by the fork server at an address,
and ends as it does.

Python starts without `site` for it, in 15 ms, so it imports little.
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Runs the program, with the files and the environment of this process."""
    _, address, _, program, *arguments = sys.argv
    reading, writing = os.pipe()
    message = {
        "program": program,
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109  # pathlib takes as long to import as the rest
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(address)
        socket.send_fds(server, [json.dumps(message).encode()], [0, 1, 2, writing])
    os.close(writing)
    with os.fdopen(reading) as status:
        status.readline()  # its process id
        code = int(status.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
