"""What is within reach, and what a proxy answers."""

from __future__ import annotations

import socket

from runferry.doctor.reach import reach


def test_a_closed_port_and_a_proxy_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert reach(f"http://127.0.0.1:{port}").how == "Connection refused"
    # This machine is asked itself; anything else goes through the proxy, which nobody is at.
    proxied = reach("http://192.0.2.1", {"http_proxy": f"http://127.0.0.1:{port}"})
    assert (proxied.reached, proxied.how) == (False, "Connection refused")
