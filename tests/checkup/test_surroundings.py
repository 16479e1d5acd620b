"""The machine and the Hub are looked at where they are really as bad as that."""

import socket
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lrat_hub.localhub.root import create_token
from tests.checkup.looking import findings, python

HUB = "surroundings._check_hub()"
DISKS = "surroundings._check_disks()"


def test_a_hub_whose_token_may_write_is_as_it_should_be(hub):
    found = findings("surroundings.check_surroundings()")
    assert found["Hub"]["found"] == hub.endpoint
    assert found["token"]["found"] == "lrat's, from HF_TOKEN, which may write everywhere"
    assert {found[name]["outcome"] for name in ("Hub", "token", "processors", "HF_HOME", "TMPDIR")} == {"ok"}
    assert "uploads" not in found


def test_a_hub_that_is_not_there_stops_the_work_and_its_token_is_not_asked_about():
    found = findings(HUB, HF_ENDPOINT="http://someone:hunter2@127.0.0.1:9", HF_TOKEN="hf_of_nobody")
    assert found["Hub"]["outcome"] == "failed"
    assert found["Hub"]["found"].startswith("http://127.0.0.1:9 can't be reached: ConnectError")
    assert "HF_ENDPOINT" in found["Hub"]["remedy"]
    assert "token" not in found


@pytest.mark.parametrize("address", ["localhost:8970", "", "http://127.0.0.1:89700", "http://[::1"])
def test_what_is_no_address_stops_the_work(address):
    found = f"HF_ENDPOINT: expected the address of a Hub, as https://huggingface.co, found {address!r}."
    assert findings(HUB, HF_ENDPOINT=address)["Hub"]["found"].startswith(found)


def test_an_address_with_which_nothing_can_be_imported_ends_in_a_line_without_its_password():
    ended = python("from lrat_hub import cli; cli.main(['verify', 'me/x'])", HF_ENDPOINT="http://u:hunter2@h:89700")
    assert ended.stderr.startswith("error: HF_ENDPOINT: expected the address of a Hub")
    assert ended.stderr.endswith("found 'http://h:89700'. Correct or unset it.\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_server_that_never_answers_is_not_waited_for_any_longer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = findings(HUB, HF_ENDPOINT=f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert found["Hub"]["outcome"] == "failed"
    assert "ReadTimeout" in found["Hub"]["found"]


def test_another_server_at_the_address_is_no_hub():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever).start()
        found = findings(HUB, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert found["Hub"]["outcome"] == "failed"
    assert "answers with 501 where a Hub asks for a token" in found["Hub"]["found"]


def test_a_wrong_token_stops_the_work_and_is_not_shown(hub):
    found = findings(HUB, HF_TOKEN="hf_thisIsOfNobody")["token"]
    assert found["outcome"] == "failed"
    assert "refuses the token" in found["found"]


def test_without_a_token_nothing_can_be_published(hub, tmp_path):
    found = findings(HUB, HF_TOKEN=None, HF_HOME=str(tmp_path))["token"]
    assert found["outcome"] == "warning"
    assert "nothing can be published" in found["found"]
    assert "hf auth login" in found["remedy"]


def test_whose_token_it_is_and_where_it_comes_from_are_told(hub, tmp_path):
    reader, writer = (create_token(hub.root, user="ada", role=role) for role in ("read", "write"))
    found = findings(HUB, HF_TOKEN=reader)["token"]
    assert (found["outcome"], found["found"]) == (
        "warning",
        "ada's, from HF_TOKEN, which may only read: nothing can be published",
    )
    (tmp_path / "token").write_text(writer)
    found = findings(HUB, HF_TOKEN=None, HF_HOME=str(tmp_path))["token"]
    assert (found["outcome"], found["found"]) == ("ok", f"ada's, from {tmp_path / 'token'}, which may write to ada")
    assert writer not in str(found)


def test_a_temporary_folder_that_is_not_there_is_told_with_the_one_that_is_used(tmp_path):
    found = findings(DISKS, TMPDIR=str(tmp_path / "none"))["TMPDIR"]
    assert found["outcome"] == "warning"
    assert found["found"].startswith(f"{tmp_path / 'none'} can't be written, so /")


def test_a_process_that_is_offline_asks_nobody():
    found = findings(HUB, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert [(one["about"], one["outcome"]) for one in found.values()] == [("Hub", "warning")]
    assert "HF_HUB_OFFLINE" in found["Hub"]["remedy"]


def test_clients_that_would_upload_otherwise_than_an_embedded_hub_speaks_are_told(hub):
    pytest.importorskip("hf_xet")
    assert "HF_HUB_DISABLE_XET=1" in findings(HUB, HF_HUB_DISABLE_XET=None)["uploads"]["remedy"]


@pytest.mark.parametrize("name", ["HF_HOME", "HF_HUB_CACHE"])
def test_folders_that_cannot_be_made_stop_the_work(tmp_path, name):
    (tmp_path / "file").write_text("no folder")
    for folder in ("/proc/lrat/cache", str(tmp_path / "file" / "cache")):
        found = findings(DISKS, **{name: folder})
        assert found[name]["outcome"] == "failed"
        assert found[name]["found"].startswith(f"{folder} can't be written: ")
        assert f"Set {name}" in found[name]["remedy"]
        assert found["TMPDIR"]["outcome"] == "ok"


def test_disks_that_are_small_full_or_read_only_stop_the_work_and_nothing_is_left_there(small_disk):
    def found():
        one = findings(DISKS, HF_HOME=str(small_disk / "home"))["HF_HOME"]
        return one["outcome"], one["found"].removeprefix(f"{small_disk / 'home'}")

    assert found() == ("failed", ": 3.1 MB free")
    assert list(small_disk.iterdir()) == []
    with pytest.raises(OSError, match="No space"), (small_disk / "all").open("wb") as file:
        file.write(bytes(4 << 20))
    assert found() == ("failed", " can't be written: No space left on device")
    subprocess.run(["mount", "-o", "remount,ro,size=1g", str(small_disk)], check=True)
    assert found() == ("failed", " can't be written: Read-only file system")


def test_the_gpus_that_a_process_may_use_are_told_with_what_limits_them():
    found = findings("surroundings._check_machine()", CUDA_VISIBLE_DEVICES="")
    assert found["GPUs"]["outcome"] == "note"
    assert found["GPUs"]["found"].endswith("(CUDA_VISIBLE_DEVICES is '')")
