"""What is said between a client and its wandb-core."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runferry.trackers.wandb.conversation import Conversation
from runferry.trackers.wandb.wire import (
    framed,
    joins_a_run,
    length_of_whole_messages,
    read_message,
    service_token,
    teardown_request,
)
from support.cores import ask


@pytest.mark.parametrize("exit_code", [0, 1, 127, 128, 137, 255])
def test_the_request_to_end_is_what_the_client_of_each_version_sends(python, exit_code):
    code = f"""
import sys
from wandb.proto import wandb_server_pb2 as spb
teardown = spb.ServerInformTeardownRequest(exit_code={exit_code})
sys.stdout.buffer.write(spb.ServerRequest(inform_teardown=teardown).SerializeToString())
"""
    assert teardown_request(exit_code) == ask(python, code)


def test_a_message_that_joins_a_run_is_told_from_others_in_each_version(python):
    code = """
import sys
from wandb.proto import wandb_server_pb2 as spb
for request in (spb.ServerRequest(), spb.ServerRequest(request_id="a"), spb.ServerRequest(request_id="a" * 300)):
    attach = spb.ServerRequest(); attach.CopyFrom(request); attach.inform_attach._info.stream_id = "k3j9"
    init = spb.ServerRequest(); init.CopyFrom(request); init.inform_init._info.stream_id = "k3j9"
    # The order of fields is not laid down.
    for message in (attach, init):
        first = request.SerializeToString()
        message.ClearField("request_id")
        for data in (first + message.SerializeToString(), message.SerializeToString() + first):
            sys.stdout.write(message.WhichOneof("server_request_type") + " " + data.hex() + "\\n")
"""
    answers = [line.split() for line in ask(python, code).decode().splitlines()]
    assert len(answers) == 12
    for kind, data in answers:
        assert joins_a_run(framed(bytes.fromhex(data))) == (kind == "inform_attach")


def test_a_message_without_content_joins_no_run():
    assert not joins_a_run(framed(b""))


def test_messages_are_read_one_by_one():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(framed(b"first") + framed(b"") + framed(b"last")[:7])
        theirs.shutdown(socket.SHUT_WR)
        assert [read_message(ours) for _ in range(3)] == [framed(b"first"), framed(b""), None]


def test_what_is_not_a_message_is_not_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n")
        assert read_message(ours) is None


def test_half_a_message_is_not_whole():
    two = framed(b"first") + framed(b"second")
    for length in range(len(two) + 1):
        whole = length_of_whole_messages(bytearray(two[:length]), [])
        assert whole == (len(two) if length == len(two) else len(framed(b"first")) if length >= 10 else 0)


def test_of_what_clients_of_each_version_send_records_without_a_question_are_not_looked_at(python):
    code = """
import sys
from wandb.proto import wandb_internal_pb2 as internal, wandb_server_pb2 as spb
row = spb.ServerRequest()
row.record_publish.history.step.num = 1
end = spb.ServerRequest(request_id="b")
end.record_publish.exit.exit_code = 1
end.record_publish._info.stream_id = "k3j9"
init = spb.ServerRequest()
init.inform_init._info.stream_id = "k3j9"
init.inform_init.settings.sync_dir.value = "/there/wandb/offline-run-1-k3j9"
for message in (row, end, row, init):
    print(message.SerializeToString().hex())
"""
    row, end, _, init = (framed(bytes.fromhex(line)) for line in ask(python, code).decode().split())
    asking: list[bytes] = []
    whole = bytearray(row + end + row + init)
    assert length_of_whole_messages(whole, asking) == len(whole)
    assert asking == [end, init]
    runs = _Runs()
    conversation = Conversation(runs)
    for message in asking[::-1]:
        conversation.heard(message)
    assert runs.said == [("begins", "k3j9", Path("/there/wandb/offline-run-1-k3j9")), ("ends", "k3j9")]


class _Runs:
    def __init__(self):
        self.said = []

    def begins(self, run, folder):
        self.said.append(("begins", run, folder))

    def ends(self, run):
        self.said.append(("ends", run))

    def answered(self, run, step):
        return 0


def test_bytes_that_are_no_message_are_an_error():
    with pytest.raises(OSError, match="found the byte 0x47"):
        length_of_whole_messages(bytearray(b"GET / HTTP/1.1"), [])


def test_clients_of_each_version_understand_the_token(python):
    code = f"""
import os
os.environ["WANDB_SERVICE"] = {service_token("/tmp/a-b/service")!r}
from wandb.sdk.lib.service import service_token
token = service_token.from_env()
assert type(token).__name__ == "UnixServiceToken", token
print(token._path)
"""
    assert ask(python, code) == b"/tmp/a-b/service\n"
