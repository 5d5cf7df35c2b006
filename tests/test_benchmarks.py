"""The load generator of the benchmarks."""

from __future__ import annotations

import socket
import threading
import time

from benchmarks import load

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_a_server_may_close_a_connection_that_has_no_more_requests() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/graphql"

        def answer_one_after_the_other() -> None:
            first, second = server.accept()[0], server.accept()[0]
            first.recv(4096)
            first.sendall(RESPONSE)
            first.close()
            with second:
                second.recv(4096)
                # Long enough for the generator to see the end of the first connection.
                time.sleep(0.3)
                second.sendall(RESPONSE)

        answering = threading.Thread(target=answer_one_after_the_other)
        answering.start()
        request = load.build_http_request(url, b"{}", "token")
        sample = load.send(url, iter([request, request]), 2, 0.0)
        answering.join()
    assert sample.request_count == 2
