"""calque bench: every message is accounted for, and nothing is left behind.  How fast it is, is not tested."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from harness import LIMIT, find_bridge
from verbs import ask_until

FIGURES = ("per_second", "cpu_us", "p50_ms", "p99_ms", "driver")


def start(tmp_path, *arguments, calque=None):
    return subprocess.Popen([calque or find_bridge(), "bench", *arguments], env=dict(os.environ, TMPDIR=str(tmp_path)),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(tmp_path, *arguments, **settings):
    process = start(tmp_path, *arguments, **settings)
    out, errors = process.communicate(timeout=3 * LIMIT)
    return process.returncode, out, errors


def left_behind(tmp_path):
    """Files below the directory, and command lines that name it."""
    found = list(map(str, tmp_path.iterdir()))
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if str(tmp_path).encode() in line:
            found.append(line.decode(errors="replace"))
    return found


def test_every_message_comes_out_and_every_figure_is_there(tmp_path):
    status, out, errors = bench(tmp_path, "--seconds", "0.5", "--scenario", "map-qos1", "--scenario", "pass-qos0",
                                "--json")
    assert status == 0, errors
    report = json.loads(out)
    conditions = report["conditions"]
    assert conditions["window"] == 100 and conditions["cores"] > 0 and conditions["fdatasync_ms"] > 0
    assert "libmosquitto" in conditions["libraries"] and conditions["file_system"]
    assert [(s["scenario"], s["qos"]) for s in report["scenarios"]] == [("pass-qos0", 0), ("map-qos1", 1)]
    for s in report["scenarios"]:
        assert s["sent"] == s["arrived"] > 0, s
        assert s["payload_bytes"] == 50
        assert all(s[figure] > 0 for figure in FIGURES), s
        assert s["others"] >= 0
        assert all(s["paced"][figure] > 0 for figure in ("per_second", "p50_ms", "p99_ms")), s
        for state in ("idle", "loaded"):
            assert s[state]["rss_kib"] >= s[state]["pss_kib"] > 0, s
    assert not left_behind(tmp_path)


def test_what_else_could_do_the_job_is_driven_alike(tmp_path):
    status, out, errors = bench(tmp_path, "--seconds", "0.5", "--beside", "--scenario", "sub-jq-pub", "--scenario",
                                "mosquitto-bridge", "--json")
    assert status == 0, errors
    rows = {s["scenario"]: s for s in json.loads(out)["scenarios"]}
    assert set(rows) == {"sub-jq-pub", "mosquitto-bridge"}
    assert all(s["sent"] == s["arrived"] > 0 for s in rows.values())
    assert rows["sub-jq-pub"]["loaded"]["processes"] > 3
    assert not left_behind(tmp_path)


def test_a_bare_loop_is_a_yardstick(tmp_path):
    status, out, errors = bench(tmp_path, "--seconds", "0.5", "--beside", "--scenario", "bare-qos1", "--json")
    assert status == 0, errors
    (row,) = json.loads(out)["scenarios"]
    assert row["sent"] == row["arrived"] > 0 and row["loaded"]["processes"] == 1
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("scenario, links", [("links-10", 10), ("wide-pass", 1)])
def test_messages_go_through_all_links_in_turn(tmp_path, scenario, links):
    status, out, errors = bench(tmp_path, "--seconds", "0.5", "--scenario", scenario, "--json")
    assert status == 0, errors
    (row,) = json.loads(out)["scenarios"]
    assert row["sent"] == row["arrived"] > 0 and row["links"] == links
    assert not left_behind(tmp_path)


def test_a_fleet_is_up_rests_and_is_back_after_its_broker_with_tls(tmp_path):
    status, out, errors = bench(tmp_path, "--seconds", "0.5", "--scenario", "devices-tls-1", "--json")
    assert status == 0, errors
    (row,) = json.loads(out)["scenarios"]
    assert row["sent"] == row["arrived"] > 0
    fleet = row["fleet"]
    assert (fleet["sessions"], fleet["tls"], fleet["most_in_second"]) == (1, True, 1)
    assert all(fleet[figure] > 0 for figure in ("up_s", "up_cpu_s", "back_s", "descriptors", "own_rss_kib"))
    assert not left_behind(tmp_path)


def test_the_table_has_a_row_for_each_scenario(tmp_path):
    status, out, errors = bench(tmp_path, "--seconds", "0.2", "--scenario", "eztcloud", "--window", "7")
    assert status == 0, errors
    assert "window 7" in out
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["eztcloud-qos1", "eztcloud-nosync"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_its_child_and_cleans_up(tmp_path, signum):
    process = start(tmp_path, "--seconds", "60", "--scenario", "pass-qos1")
    ask_until(lambda: left_behind(tmp_path), lambda found: any("calque.conf" in one for one in found))
    process.send_signal(signum)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "interrupted" in errors
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("wrong", [("--scenario", "mpa"), ("--scenario", "sub-jq-pub"), ("--seconds", "0"),
                                   ("--seconds", "fast"), ("--window", "0"), ("--window", "9x"), ("one",)])
def test_misuse_is_told_before_anything_starts(tmp_path, wrong):
    status, out, errors = bench(tmp_path, *wrong)
    assert (status, out) == (2, "")
    assert errors.startswith("calque bench: ")
    assert not left_behind(tmp_path)


@pytest.fixture(name="moved")
def _moved(tmp_path):
    """(calque without calque-bench, how to put that somewhere), outside of the directory for temporary files."""
    root = tmp_path.parent / (tmp_path.name + "-moved")
    (root / "bin").mkdir(parents=True)
    calque = shutil.copy(find_bridge(), root / "bin")

    def put(folder):
        (root / folder).mkdir(parents=True, exist_ok=True)
        return shutil.copy(pathlib.Path(find_bridge()).with_name("calque-bench"), root / folder)
    yield calque, put
    shutil.rmtree(root)


def test_without_its_program_it_says_what_is_missing(tmp_path, moved):
    calque, put = moved
    status, out, errors = bench(tmp_path, "--help", calque=calque)
    assert (status, out) == (1, "")
    assert errors.startswith("calque bench: there is no calque-bench in ") and "install" in errors
    os.chmod(put("bin"), 0o644)
    status, out, errors = bench(tmp_path, "--help", calque=calque)
    assert (status, out) == (1, "")
    assert "bin/calque-bench: Permission denied" in errors


@pytest.mark.parametrize("folder", ["bin", "libexec/calque"])
def test_its_program_is_found_where_it_is_built_and_installed(tmp_path, moved, folder):
    calque, put = moved
    put(folder)
    status, out, errors = bench(tmp_path, "--seconds", "0.2", "--scenario", "pass-qos1", "--json", calque=calque)
    assert status == 0, errors
    assert json.loads(out)["scenarios"][0]["arrived"] > 0


def test_its_program_is_not_for_people(tmp_path):
    done = subprocess.run([pathlib.Path(find_bridge()).with_name("calque-bench"), "--json"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "calque bench" in done.stderr
