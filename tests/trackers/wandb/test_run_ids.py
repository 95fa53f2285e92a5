"""Which id a W&B run of a job gets, and that it is the same in a later attempt."""

from __future__ import annotations

from runferry.trackers.wandb.run_ids import FILE, RunIds, elsewhere, forget_single


def _asked(**more):
    return {
        "rank": None,
        "program": "train.py",
        "arguments": "a1",
        "process": [],
        "name": None,
        "job_type": None,
        "thread": None,
        **more,
    }


class _Attempt:
    """An attempt that begins each W&B run that it asks for."""

    def __init__(self, folder, earlier=(), ended=(), own=True):
        earlier, ended = list(earlier), list(ended)
        self.ids = RunIds(folder / FILE, "k3", lambda: earlier, lambda run: run in ended, own=own)

    def begin(self, of=1, **asked):
        run = self.ids.answer(_asked(**asked), of)["id"]
        self.ids.opened(run, None)
        return run


def test_the_first_gets_the_runs_own_id_and_others_are_numbered(tmp_path):
    attempt = _Attempt(tmp_path)
    assert [attempt.begin(), attempt.begin(of=2), attempt.begin()] == ["k3", "k3-2", "k3-3"]


def test_with_ranks_rank_0_gets_the_runs_own_id_though_it_is_not_the_first(tmp_path):
    attempt = _Attempt(tmp_path)
    assert [attempt.begin(of=n, rank=str(n)) for n in (1, 2, 0)] == ["k3-2", "k3-3", "k3"]


def test_in_a_later_attempt_each_rank_fold_and_worker_has_its_id_again_in_whichever_order(tmp_path):
    members = [{"rank": "0"}, {"rank": "1"}, {"arguments": "b"}, {"process": [1]}, {"thread": "t", "job_type": "eval"}]
    first = _Attempt(tmp_path)
    given = [first.begin(of=n, **member) for n, member in enumerate(members)]
    assert len(set(given)) == len(members)
    later = _Attempt(tmp_path, given, given)
    turned = [later.begin(of=n, **member) for n, member in reversed(list(enumerate(members)))]
    assert turned == given[::-1]


def test_folds_without_names_are_told_apart_by_their_order_in_a_process(tmp_path):
    first = _Attempt(tmp_path)
    given = [first.begin(of=n) for n in (7, 7, 8, 8)]
    later = _Attempt(tmp_path, given, given)
    # The same processes, whose calls come in another order.
    assert [later.begin(of=n) for n in (1, 2, 1, 2)] == [given[0], given[2], given[1], given[3]]


def test_a_named_fold_has_its_id_again_though_those_before_it_are_not_done_again(tmp_path):
    first = _Attempt(tmp_path)
    given = {name: first.begin(name=name) for name in ("fold-0", "fold-1", "fold-2")}
    later = _Attempt(tmp_path, given.values())
    assert later.begin(name="fold-2") == given["fold-2"]
    # A worker of a pool that did not have it before.
    assert later.begin(name="fold-1", process=[2]) == given["fold-1"]


def test_the_runs_own_id_is_nobody_elses_in_a_later_attempt(tmp_path):
    assert _Attempt(tmp_path).begin(job_type="train") == "k3"
    later = _Attempt(tmp_path, ["k3"])
    assert later.begin(job_type="eval") == "k3-2"
    assert later.begin(job_type="train") == "k3"


def test_other_arguments_go_on_with_what_has_not_ended_well_and_with_nothing_else(tmp_path):
    assert _Attempt(tmp_path).begin(arguments="") == "k3"
    assert _Attempt(tmp_path, ["k3"]).begin(arguments="--resume") == "k3"
    assert _Attempt(tmp_path, ["k3"], ended=["k3"]).begin(arguments="--evaluate") == "k3-2"


def test_an_id_that_was_not_used_is_given_again_to_the_process_that_asked_for_it(tmp_path):
    ids = _Attempt(tmp_path).ids
    asked = [(1, None), (1, "k3"), (2, "k3"), (1, None), (1, "k3-3")]
    given = [ids.answer(_asked(unused=unused), process)["id"] for process, unused in asked]
    assert given == ["k3", "k3", "k3-2", "k3-3", "k3-3"]


def test_the_first_bears_the_runs_name_also_where_the_script_gives_ids(tmp_path):
    ids = _Attempt(tmp_path).ids
    firsts = []
    for run in ("mine-0", "mine-1"):
        firsts.append(ids.answer({"id": run}, 1)["first"])
        ids.opened(run, None)
    assert firsts == [True, False]
    later = _Attempt(tmp_path, ["mine-0", "mine-1"]).ids
    assert [later.answer({"id": run}, 1)["first"] for run in ("mine-1", "mine-0")] == [False, True]


def test_what_an_earlier_attempt_has_begun_goes_on(tmp_path):
    begun = [_Attempt(tmp_path).begin(name=name) for name in ("a", "b")]
    ids = _Attempt(tmp_path, begun).ids
    assert [ids.answer(_asked(name=name), 1)["continues"] for name in ("a", "c")] == [True, False]
    assert ids.answer({"id": "mine"}, 1)["continues"] is False


def test_further_nodes_number_their_own(tmp_path):
    attempt = _Attempt(tmp_path, own=False)
    assert [attempt.begin(), attempt.begin()] == ["k3-1", "k3-2"]


def test_nothing_is_left_of_a_job_with_one(tmp_path):
    attempt = _Attempt(tmp_path)
    attempt.begin()
    assert (tmp_path / FILE).exists()
    forget_single(tmp_path, "k3")
    assert not (tmp_path / FILE).exists()
    attempt.begin()
    forget_single(tmp_path, "k3")
    assert (tmp_path / FILE).exists()


def test_folders_elsewhere_are_kept_and_a_damaged_file_is_as_none(tmp_path):
    attempt = _Attempt(tmp_path)
    attempt.ids.opened("mine", "/somewhere/wandb/offline-run-1-mine")
    assert elsewhere(tmp_path) == ["/somewhere/wandb/offline-run-1-mine"]
    (tmp_path / FILE).write_text('{"runs": ')
    assert elsewhere(tmp_path) == []
    assert _Attempt(tmp_path).begin() == "k3"
