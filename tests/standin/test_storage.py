"""Contents of files: put and fetched at addresses that the server gave, and only there."""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from runferry_standin import running

if TYPE_CHECKING:
    from runferry_standin import StandIn
    from support.wandb_clients import Wandb

CREATE = """
mutation CreateRunFiles($files: [String!]!) {
  createRunFiles(input: {entityName: "demo", projectName: "p", runName: "a", files: $files}) {
    runID uploadHeaders files { name uploadUrl }
  }
}
"""

FILES = """
query($names: [String] = [], $pattern: String) {
  project(name: "p", entityName: "demo") {
    run(name: "a") {
      fileCount
      files(names: $names, pattern: $pattern) { edges { node { name url directUrl sizeBytes md5 mimetype } } }
    }
  }
}
"""

WITH_FILE = """
import wandb
from pathlib import Path
Path("note.txt").write_text("hello")
with wandb.init(project="digits", mode="online", id="online1") as run:
    run.log({"i": 0})
    run.save("note.txt")
"""


def upload_address(server: StandIn, name: str) -> str:
    server.graphql('mutation { upsertBucket(input: {name: "a", modelName: "p"}) { inserted } }')
    (file,) = server.graphql(CREATE, {"files": [name]})["data"]["createRunFiles"]["files"]
    assert file["name"] == name
    return file["uploadUrl"]


def put(address: str, content: bytes, **headers: str) -> int:
    request = urllib.request.Request(address, content, headers, method="PUT")
    with urllib.request.urlopen(request) as answer:
        return answer.status


def listed(server: StandIn, **variables: object) -> list[dict[str, object]]:
    run = server.graphql(FILES, variables)["data"]["project"]["run"]
    return [edge["node"] for edge in run["files"]["edges"]]


def test_a_file_is_listed_when_its_content_has_come(server: StandIn) -> None:
    address = upload_address(server, "a folder/näme &.txt")
    assert listed(server) == []

    assert put(address, b"hello") == 200

    (file,) = listed(server)
    md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert (file["name"], file["sizeBytes"], file["md5"]) == ("a folder/näme &.txt", 5, md5)
    assert file["mimetype"] == "text/plain"


def test_a_content_is_fetched_with_the_key_or_with_the_signed_address(server: StandIn) -> None:
    put(upload_address(server, "a folder/näme &.txt"), b"hello")
    (file,) = listed(server)
    with_key = urllib.request.Request(str(file["url"]))
    with_key.add_header("Authorization", "Basic " + base64.b64encode(f"api:{server.key}".encode()).decode())

    with urllib.request.urlopen(with_key) as answer:
        assert answer.read() == b"hello"
    with urllib.request.urlopen(str(file["directUrl"])) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(str(file["url"]))
    assert refused.value.code == 401


def test_an_address_cannot_be_made_up(server: StandIn) -> None:
    address = upload_address(server, "note.txt")
    upload_address(server, "other.txt")

    for forged in (address.replace("/file/1?", "/file/2?"), address.replace("signature=", "signature=0")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            put(forged, b"hello")
        assert refused.value.code == 403

    assert listed(server) == []


def test_a_content_that_was_damaged_on_the_way_is_refused(server: StandIn) -> None:
    address = upload_address(server, "note.txt")

    with pytest.raises(urllib.error.HTTPError) as refused:
        put(address, b"hxllo", **{"Content-MD5": base64.b64encode(hashlib.md5(b"hello").digest()).decode()})

    assert refused.value.code == 400
    assert listed(server) == []


def test_files_are_chosen_by_name_and_by_pattern(server: StandIn) -> None:
    for name in ("a.json", "b.json", "media/c.json", "a%json"):
        put(upload_address(server, name), b"{}")

    assert [file["name"] for file in listed(server, names=["b.json", "x"])] == ["b.json"]
    assert [file["name"] for file in listed(server, pattern="_.json")] == ["a.json", "b.json"]
    assert [file["name"] for file in listed(server, pattern="%/%.json")] == ["media/c.json"]


def test_files_of_a_run_that_was_never_announced_are_refused(server: StandIn) -> None:
    with pytest.raises(LookupError):
        server.graphql(CREATE, {"files": ["note.txt"]})


def test_the_storage_can_have_a_port_of_its_own(newest_wandb: Wandb) -> None:
    with running(storage_port=0) as server:
        newest_wandb.server = server
        address = urlsplit(upload_address(server, "note.txt"))
        assert address.port != urlsplit(server.url).port

        newest_wandb.run(WITH_FILE)

        run = server.run("demo", "digits", "online1")
        assert "note.txt" in [file["name"] for file in run["files"]]
        # Each port serves its own and nothing else.
        with pytest.raises(urllib.error.HTTPError):
            put(address.geturl().replace(f":{address.port}", f":{urlsplit(server.url).port}"), b"hello")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{address.port}/demo/digits")
