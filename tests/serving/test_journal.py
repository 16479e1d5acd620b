"""The journal: what is acknowledged is on the disk, whatever happens then."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from lrat_hub.errors import LratError
from lrat_hub.serving.journal import Journal, NotWritten, files_of, forget_session, open_journal
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

WRITER = """
import asyncio, sys
from pathlib import Path
from lrat_hub.serving.journal import Journal

async def write(journal, worker):
    for number in range(1_000_000):
        await journal.append({"session": f"s{worker}", "number": number, "text": "x" * (number % 700)})
        print(worker, number, flush=True)

async def main():
    journal = Journal(Path(sys.argv[1]), max_bytes=20_000)
    await asyncio.gather(*(write(journal, worker) for worker in range(8)))

asyncio.run(main())
"""


def records_in(folder):
    return [json.loads(line) for path in files_of(folder) for line in path.read_bytes().splitlines()]


def write(folder, records, **settings):
    async def go():
        with Journal(folder, **settings) as journal:
            await asyncio.gather(*map(journal.append, records))
            return journal

    return asyncio.run(go())


def test_records_come_back_in_their_order_and_a_full_file_is_followed_by_another(tmp_path):
    records = [{"number": number, "text": "wörd \u2028 \ud800"} for number in range(50)]
    for start in range(0, 50, 10):
        write(tmp_path, records[start : start + 10], max_bytes=500)
    assert [record["number"] for record in records_in(tmp_path)] == list(range(50))
    names = [path.name for path in files_of(tmp_path)]
    assert len(names) > 2
    assert names == sorted(names)


def test_another_day_begins_another_file(tmp_path):
    day = datetime(2026, 11, 28, 23, 59, tzinfo=UTC)
    write(tmp_path, [{"number": 1}], now=lambda: day)
    write(tmp_path, [{"number": 2}], now=lambda: day + timedelta(minutes=2))
    assert [path.name for path in files_of(tmp_path)] == ["2026-11-28-0001.jsonl", "2026-11-29-0001.jsonl"]


def test_records_that_come_together_share_a_sync(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), fsync(file)))
    write(tmp_path, [{"number": number} for number in range(200)])
    assert len(records_in(tmp_path)) == 200
    # One for the folder with the new file, and one for all lines but the first, which didn't wait.
    assert len(synced) <= 4


def test_a_line_that_a_killed_process_left_unfinished_is_cut_off_and_counted(tmp_path):
    write(tmp_path, [{"number": 1}])
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"number": 2, "te')
    assert write(tmp_path, [{"number": 3}]).num_cut == 1
    assert [record["number"] for record in records_in(tmp_path)] == [1, 3]
    path.write_bytes(b'{"number"')
    assert write(tmp_path, []).num_cut == 1
    assert path.read_bytes() == b""


def test_a_folder_has_one_writer(tmp_path):
    with Journal(tmp_path), pytest.raises(LratError, match="no other writer"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_several_writers_have_folders_of_their_own_which_are_read_and_forgotten_together(tmp_path):
    journals = [open_journal(tmp_path, writers=3) for _ in range(3)]
    with pytest.raises(LratError, match="fewer than 3 writers"):
        open_journal(tmp_path, writers=3)
    for number, journal in enumerate(journals):
        asyncio.run(journal.append({"session": "gone", "number": number}))
        asyncio.run(journal.append({"session": "kept", "number": number}))
    forgotten = forget_session(tmp_path, "gone")
    assert (forgotten.records, forgotten.files, forgotten.mentions) == (3, 3, 0)
    for journal in journals:
        journal.close()
    assert [len(records_in(folder)) for folder in tmp_path.iterdir()] == [1, 1, 1]
    open_journal(tmp_path, writers=3).close()


@pytest.mark.slow
def test_a_full_disk_is_an_error_of_the_request_and_the_next_one_is_written(tmp_path):
    # A file may grow to this size and no further: what a full disk is like, without one.
    code = """
import asyncio, resource, signal, sys
from pathlib import Path
from lrat_hub.serving.journal import Journal, NotWritten

async def main():
    journal = Journal(Path(sys.argv[1]))
    await journal.append({"text": "before"})
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
    try:
        await asyncio.gather(journal.append({"text": "x" * 1_500}), journal.append({"text": "y" * 1_500}))
    except NotWritten as error:
        print("refused:", error)
        assert journal.failure == str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await journal.append({"text": "after"})
    assert journal.failure == ""

asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("refused: Journal")
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("*.jsonl")} == {0}, "they are their owner's"
    texts = [record["text"][:6] for record in records_in(tmp_path)]
    assert texts[0] == "before"
    assert texts[-1] == "after"
    assert set(texts[1:-1]) <= {"x" * 6}, "what was refused is not there in part"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_acknowledged_record_is_lost_by_kills_at_any_moment(tmp_path, seed):
    wait, acknowledged = random.Random(seed), set()
    folder, said = tmp_path / "journal", tmp_path / "said"
    for life in range(3):
        with said.open("wb") as out:
            process = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=out)
            try:
                wait_until(lambda: said.stat().st_size > 200)
                time.sleep(wait.random() / 10)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        # The last line of what was said may be cut off itself.
        lines = said.read_text().splitlines(keepends=True)
        acknowledged |= {(life, *map(int, line.split())) for line in lines if line.endswith("\n")}
    Journal(folder).close()
    found = [(int(record["session"][1:]), record["number"]) for record in records_in(folder)]
    assert len(acknowledged) > 20
    for worker in range(8):
        numbers = iter([number for of, number in found if of == worker])
        for life in range(3):
            # Each life counts from 0, so that its records stand in this order.
            own = sorted(number for of_life, of, number in acknowledged if (of_life, of) == (life, worker))
            assert all(any(number == there for there in numbers) for number in own), (worker, life)


def test_a_session_that_is_forgotten_is_in_no_byte_of_the_folder(tmp_path):
    secret = "patiént-17"
    records = [{"session": secret if n % 3 == 0 else f"s{n}", "query": f"private {n}"} for n in range(30)]
    for record in records:
        write(tmp_path, [record], max_bytes=200)
    assert len(files_of(tmp_path)) > 3
    with Journal(tmp_path, max_bytes=200) as journal:
        # The server writes on.
        asyncio.run(journal.append({"session": "later"}))
        forgotten = forget_session(tmp_path, secret)
        asyncio.run(journal.append({"session": "latest"}))
    assert (forgotten.records, forgotten.mentions) == (10, 0)
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"pati" not in everything
    assert [number for number in range(0, 30, 3) if f'"private {number}"'.encode() in everything] == []
    left = [record["session"] for record in records_in(tmp_path)]
    assert left == [f"s{n}" for n in range(30) if n % 3] + ["later", "latest"]
    with pytest.raises(LratError, match="found none"):
        forget_session(tmp_path, secret)


def test_a_session_that_others_mention_is_said_to_be_mentioned(tmp_path):
    write(tmp_path, [{"session": "a1"}, {"session": "b", "query": "what is a1?"}])
    assert forget_session(tmp_path, "a1").mentions == 1


def test_a_journal_that_can_not_be_written_fails_the_call(tmp_path):
    async def go():
        with Journal(tmp_path) as journal:
            await journal.append({"number": 1})
            (tmp_path / ".commit.lock").unlink()
            (tmp_path / ".commit.lock").mkdir()
            with pytest.raises(NotWritten, match="expected to write 1 records"):
                await journal.append({"number": 2})
            (tmp_path / ".commit.lock").rmdir()
            await journal.append({"number": 3})

    asyncio.run(go())
    assert [record["number"] for record in records_in(tmp_path)] == [1, 3]


def test_nobody_waits_for_a_journal_that_has_ended(tmp_path):
    async def go():
        with Journal(tmp_path) as journal:
            await journal.append({"number": 1})
        with pytest.raises(NotWritten, match="expected to write 1 records"):
            await asyncio.wait_for(journal.append({"number": 2}), HANGS_AFTER_SECONDS)

    asyncio.run(go())


def test_what_can_not_be_written_is_an_error_that_says_so(tmp_path):
    (tmp_path / "2026-11-28-0001.jsonl").mkdir()
    with pytest.raises(LratError, match=r"expected files that can be written; .*2026-11-28-0001"):
        Journal(tmp_path)
    with pytest.raises(LratError, match=r"expected files that can be written; .*2026-11-28-0001"):
        forget_session(tmp_path, "a")
    (tmp_path / "2026-11-28-0001.jsonl").rmdir()
    Journal(tmp_path).close()
