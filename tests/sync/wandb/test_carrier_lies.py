"""Every way in which `wandb sync` says that all went well when it did not, and what the server does to it otherwise.

Each case syncs a run of each supported version in one go, with the fault for each of them. Afterwards a receipt is
there only where the server holds all; nothing says `.synced` where it does not; and once the cause is gone, the next
`runferry sync` brings what is missing, nothing twice.
"""

from __future__ import annotations

import pytest

from runferry.sync.engine import sync
from runferry.sync.outcome import Limits
from runferry.trackers.wandb import connection
from support.limits import within
from support.written_runs import markers, receipt, wrong

pytestmark = pytest.mark.usefixtures("connected")

QUICK = within(0.3, 6)
ROWS = "wandb-history.jsonl"
STREAM = {"match": "file_stream"}
UPSERT = {"match": "graphql:UpsertBucket"}

LIES = {
    **{
        f"file_stream_answers_{status}": [{**STREAM, "status": status}]
        for status in (400, 401, 403, 404, 409, 413, 422)
    },
    "file_stream_says_that_the_quota_is_reached_402": [{**STREAM, "status": 402, "body": {"error": "quota exceeded"}}],
    "file_stream_redirects_301": [{**STREAM, "status": 301}],
    "file_stream_redirects_302": [{**STREAM, "status": 302}],
    "a_captive_portal_answers_200_with_html": [{**STREAM, "html": True}],
    "everything_streamed_is_lost": [{**STREAM, "lose": True}],
    "the_rows_are_lost_and_the_end_is_not": [{**STREAM, "containing": ROWS, "lose": True}],
    "the_end_is_lost": [{**STREAM, "containing": '"complete":true', "lose": True}],
    "storage_answers_403": [{"match": "storage", "status": 403}],
    "storage_loses_what_it_takes": [{"match": "storage", "lose": True}],
    "create_run_files_answers_400": [{"match": "graphql:CreateRunFiles", "status": 400}],
    "create_artifact_answers_400": [{"match": "graphql:CreateArtifact", "status": 400}],
    # It names no run.
    "commit_artifact_answers_400": [{"match": "graphql:CommitArtifact", "status": 400, "run": None}],
    "the_second_upsert_bucket_answers_400": [{**UPSERT, "status": 400, "after": 1}],
    **{
        f"upsert_bucket_answers_{status}": [{"match": "graphql:UpsertBucket", "status": status}]
        for status in (400, 404)
    },
    "upsert_bucket_answers_401": [{"match": "graphql:UpsertBucket", "status": 401}],
    "upsert_bucket_answers_403": [{"match": "graphql:UpsertBucket", "status": 403}],
    "a_server_in_trouble_for_ever_503": [{**STREAM, "status": 503}],
    "a_server_that_is_silent": [{**STREAM, "hang": True}],
}
PASSING = {
    "a_captive_portal_answers_once_in_the_middle": [{**STREAM, "containing": ROWS, "html": True, "count": 1}],
    "file_stream_answers_500_for_a_while": [{**STREAM, "status": 500, "count": 1}],
    "file_stream_answers_429_for_a_while": [{**STREAM, "status": 429, "headers": {"Retry-After": "1"}, "count": 1}],
    "connections_drop_before_a_request": [{**STREAM, "drop": "before", "count": 1}],
    "connections_drop_in_the_middle_of_a_request": [{**STREAM, "drop": "reading", "count": 1}],
    "connections_drop_in_the_middle_of_an_answer": [{**STREAM, "drop": "answering", "count": 1}],
    "storage_answers_500_for_a_while": [{"match": "storage", "status": 500, "count": 1}],
    "the_clocks_differ_by_an_hour": [],
}


@pytest.mark.parametrize("fault", LIES)
def test_no_receipt_and_no_mark_after(fault, written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    server.faults(*({"run": folder.path.name, **rule} for rule in LIES[fault] for folder in folders))
    outcomes = sync(folders, QUICK)
    for outcome, folder in zip(outcomes, folders, strict=True):
        assert wrong(server, folder), "the fault did nothing"
        assert outcome.problem, fault
        assert receipt(folder) is None
        assert markers(folder) == []
    server.faults()
    _completes(server, folders)


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_costs_no_receipt(fault, written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    server.faults(*({"run": folder.path.name, **rule} for rule in PASSING[fault] for folder in folders))
    if "clocks" in fault:
        server.set_ahead(3600)
    _completes(server, folders, within(5, 60))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 401}, "refused the key found in WANDB_API_KEY"),
        ({"status": 503}, "found HTTP 503"),
        ({"html": True}, "not JSON"),
        ({"hang": True}, "could not be reached"),
        ({"drop": "before"}, "could not be reached"),
    ],
)
def test_a_question_that_cannot_be_answered_after_sending_is_not_verified(
    fault, said, written, server, tmp_path, monkeypatch
):
    folders = written.copied_to(tmp_path / "results")
    monkeypatch.setattr(connection, "PAUSES", (0.05,))
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT", 0.5)
    # The first answer says that nothing is there yet.
    server.faults({"match": "graphql:RunferryRuns", "after": 1, **fault})
    for outcome, folder in zip(sync(folders, within(0.3, 20)), folders, strict=True):
        assert said in (outcome.problem or "")
        assert receipt(folder) is None
        assert markers(folder) == []
        assert not wrong(server, folder)
    server.faults()
    server.clear_requests()
    _completes(server, folders)
    assert "file_stream" not in server.requests()["counts"]


def _completes(server, folders, limits: Limits = within(1, 60)) -> None:  # noqa: B008
    for outcome, folder in zip(sync(folders, limits), folders, strict=True):
        assert outcome.problem is None
        assert wrong(server, folder) == []
        assert (receipt(folder) or {})["run"] == folder.path.name
