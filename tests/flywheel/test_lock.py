"""One process at a time: a second one is refused, and the lock of a dead one is taken."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from huggingface_hub import HfApi

from lrat_hub.errors import LratError
from lrat_hub.flywheel import lock as locks
from lrat_hub.flywheel.lock import STALE_SECONDS, Holder, Lock, held
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits


def target(name):
    return HubRef(f"lrat/{name}", "dataset")


def holder_of(ref):
    return held(replace(ref, revision=named_commits(ref)["lock"]))


def test_a_second_one_is_refused_until_the_first_has_ended(hub):
    ref = target("locked")
    with Lock(ref) as first:
        assert holder_of(ref) is not None
        with pytest.raises(LratError, match="another process works on this flywheel"), Lock(ref):
            pass
        first.require()
    assert holder_of(ref) is None
    with Lock(ref) as again:
        assert again.note == ""


def test_of_two_who_take_it_at_once_one_is_refused(hub, monkeypatch):
    ref = target("raced")
    with Lock(ref):
        pass
    # Both have looked, and nobody held it then.
    looks = [named_commits(ref)] * 2
    monkeypatch.setattr(locks, "named_commits", lambda ref: looks.pop() if looks else named_commits(ref))
    with Lock(ref) as winner:
        with pytest.raises(LratError, match="another process works on this flywheel"), Lock(ref):
            pass
        winner.require()
    assert not looks


def test_a_lock_that_is_renewed_as_it_is_taken_over_is_taken_over_all_the_same(hub, monkeypatch):
    ref = target("renewed-and-taken")
    with Lock(ref) as first:
        renewals = [time.time()]

        def look(ref):
            found = named_commits(ref)
            if renewals:
                first._commit(replace(first._holder, renewed=renewals.pop()))
            return found

        monkeypatch.setattr(locks, "named_commits", look)
        with Lock(ref, take_over=True) as second:
            assert not renewals
            assert holder_of(ref).id == second._holder.id


def test_who_was_taken_over_stops_and_leaves_the_lock_alone(hub, monkeypatch):
    monkeypatch.setattr(locks, "RENEWED_SECONDS", 0.2)
    ref = target("taken")
    with Lock(ref) as first:
        with Lock(ref, take_over=True) as second:
            assert "taken over" in second.note
            first._renewing.join(30)
            with pytest.raises(LratError, match="was taken over by another process"):
                first.require()
            second.require()
            first.__exit__()
            assert holder_of(ref).id == second._holder.id
        assert holder_of(ref) is None


def test_a_lock_is_renewed(hub, monkeypatch):
    ref = target("renewed")
    with Lock(ref) as lock:
        first = holder_of(ref)
        monkeypatch.setattr(locks, "RENEWED_SECONDS", 0.05)
        thread = locks.threading.Thread(target=lock._renew)
        thread.start()
        deadline = time.monotonic() + 60
        while holder_of(ref).renewed == first.renewed and time.monotonic() < deadline:
            time.sleep(0.05)
        assert holder_of(ref).renewed > first.renewed
        lock._ended.set()
        thread.join()


def test_whose_process_has_ended_or_who_was_silent_too_long_holds_nothing():
    here = Holder.here()
    assert here.why_free(0) == ""
    # Numbers of processes come again: it is the same one if it began then.
    assert "has ended" in replace(here, started=here.started - 100).why_free(0)
    assert "has ended" in replace(here, process=2**22 + 1).why_free(0)
    elsewhere = replace(here, machine="another")
    assert elsewhere.why_free(STALE_SECONDS - 60) == ""
    assert "not renewed for 61 minutes" in elsewhere.why_free(STALE_SECONDS + 60)


@pytest.mark.parametrize("wrong", [-1e8, -2 * STALE_SECONDS, 2 * STALE_SECONDS, 1e8])
def test_the_clock_of_another_machine_may_be_wrong(hub, monkeypatch, wrong):
    ref = target(f"clock{wrong:.0f}")
    lock = Lock(ref)
    lock._holder = replace(lock._holder, machine="another", renewed=time.time() + wrong)
    lock.__enter__()
    with pytest.raises(LratError, match="renewed 0 minutes ago"), Lock(ref):
        pass
    lock.require()
    # It is dead an hour after its last commit, whatever it said then.
    monkeypatch.setattr(locks, "STALE_SECONDS", -1.0)
    with Lock(ref) as next_one:
        assert "not renewed for 0 minutes" in next_one.note
    lock._ended.set()


def test_the_lock_of_a_private_flywheel_is_not_made_in_public(hub):
    with Lock(target("lock-private"), private=True):
        assert HfApi().repo_info("lrat/lock-private", repo_type="dataset").private
    with Lock(target("lock-public")):
        pass
    with pytest.raises(LratError, match="found a public one"), Lock(target("lock-public"), private=True):
        pass
