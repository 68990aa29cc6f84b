"""`ffgrid doctor` in a farm that is well, and in farms where something is really broken."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.cli.checks import machines
from app.cli.checks.coordinators import clock
from app.cli.checks.disk import room
from app.cli.checks.finding import Finding, together
from app.cli.checks.roots import PREFIX
from app.cli.checks.scene import Scene
from app.settings import Settings
from app.state.store import Store
from tests.farm import ROOT_NAME, Farm, until
from tests.ports import free_port


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators and two workers on a Redis that keeps what it is told."""
    folder = tmp_path_factory.mktemp("grid")
    with Farm.start(folder, workers=2, options=("--appendonly", "yes")) as started:
        yield started


def doctor(farm: Farm, *flags: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    done = farm.ffgrid(
        "doctor", "--json", "--timeout", "90s", *flags, **{"FFGRID_REDIS_URL": farm.redis_url, **env}
    )
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    assert all(one["verdict"] in ("ok", "warn", "bad", "skipped") for one in report["checks"])
    assert [one for one in report["checks"] if one["verdict"] == "bad" and not one["sentence"]] == []
    return done.returncode, report["checks"]


def about(checks: list[dict[str, Any]], name: str) -> list[tuple[str, str]]:
    return [(one["verdict"], one["sentence"]) for one in checks if one["check"] == name]


def the(checks: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [one for one in checks if one["check"] == name]
    return found


def left_behind(farm: Farm) -> list[Any]:
    jobs = [job for job in farm.jobs() if job["state"] in ("queued", "running")]
    return [*farm.client_root.glob(f"{PREFIX}*"), *jobs]


def test_a_farm_that_is_well(grid: Farm) -> None:
    shim = grid.install_shim()
    status, checks = doctor(grid, "--shim", str(shim))
    told = grid.ffgrid("doctor", "--timeout", "90s", "--shim", shim, FFGRID_REDIS_URL=grid.redis_url)

    assert [one for one in checks if one["verdict"] == "bad"] == []
    assert (status, told.returncode) == (0, 0), told.stdout
    assert the(checks, "redis version")["verdict"] == "ok"
    assert the(checks, "redis persistence")["verdict"] == "ok"
    assert [verdict for verdict, _ in about(checks, "signature")] == ["ok", "ok"]
    assert [verdict for verdict, _ in about(checks, "clock")] == ["ok", "ok"]
    assert [verdict for verdict, _ in about(checks, "shim")] == ["ok", "ok"]
    assert [verdict for verdict, _ in about(checks, "stream")] == ["ok", "ok"]
    seen = about(checks, "root")
    assert [verdict for verdict, _ in seen] == ["ok", "ok"]
    assert [sentence.split(" sees within ")[0] for _, sentence in seen] == [
        f"{ROOT_NAME}: w1",
        f"{ROOT_NAME}: w2",
    ]
    assert left_behind(grid) == []
    assert "\x1b" not in told.stdout
    assert "✓ ok      root" in told.stdout
    assert told.stdout.splitlines()[-1].startswith(f"{sum(one['verdict'] == 'ok' for one in checks)} ok")


def test_a_wrong_key_is_named_and_nothing_else_guessed(grid: Farm, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.key"
    wrong.write_text(grid.key_file.read_text().replace("secret ", "secret 00")[:-3] + "\n")
    wrong.chmod(0o600)
    status, checks = doctor(grid, "--key-file", str(wrong))

    assert status == 1
    assert [verdict for verdict, _ in about(checks, "signature")] == ["bad", "bad"]
    assert "ffgrid keys add" in next(one["mend"] for one in checks if one["check"] == "signature")
    assert the(checks, "root")["verdict"] == "skipped"
    assert about(checks, "coordinator")[0][0] == "ok"


def test_no_coordinator_at_one_of_the_addresses(grid: Farm) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    status, checks = doctor(grid, "--url", f"{nowhere} {grid.webs[0].url}")

    assert status == 1
    assert ("bad", f"{nowhere}: connection refused") in about(checks, "coordinator")
    assert [verdict for verdict, _ in about(checks, "root")] == ["ok", "ok"]


def test_a_root_that_is_not_there(grid: Farm) -> None:
    status, checks = doctor(grid, "--roots", f"{ROOT_NAME}=/nowhere/at/all")

    assert status == 1
    assert (
        the(checks, "root")["sentence"] == f"{ROOT_NAME}: there is no directory /nowhere/at/all on this host"
    )


def test_a_root_that_is_another_directory_at_the_worker(grid: Farm, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    grid.start_worker("w3", env={"FFGRID_ROOTS": f"{ROOT_NAME}={tmp_path / 'empty'}"})
    try:
        status, checks = doctor(grid)
    finally:
        grid.workers.pop().kill()
        until(lambda: {one["id"]: one["state"] for one in grid.known_workers()}["w3"] == "offline")
    bad = [one for one in checks if one["verdict"] == "bad"]

    assert status == 1
    assert len(bad) == 1
    assert bad[0]["sentence"].startswith(f"{ROOT_NAME}: w3 does not see what is written into ")
    assert "No such file" in bad[0]["sentence"]
    assert bad[0]["mend"].startswith(f"on w3: let {ROOT_NAME} in FFGRID_ROOTS be the same directory")
    assert left_behind(grid) == []


def test_who_interrupts_it_finds_nothing_left_behind(grid: Farm, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    grid.start_worker("w6", env={"FFGRID_ROOTS": f"{ROOT_NAME}={tmp_path / 'empty'}"})
    running = grid.begin("doctor")
    until(lambda: [job for job in grid.jobs() if job["worker"] == "w6" and job["state"] == "failed"])
    probes = list(grid.client_root.glob(f"{PREFIX}*"))
    running.send_signal(signal.SIGTERM)
    running.communicate()
    left = list(grid.client_root.glob(f"{PREFIX}*"))
    grid.workers.pop().kill()
    until(lambda: {one["id"]: one["state"] for one in grid.known_workers()}["w6"] == "offline")

    assert len(probes) == 1
    assert left == []
    assert running.returncode == 143
    assert until(lambda: not left_behind(grid))


def test_a_worker_without_the_root_and_a_worker_that_is_full(grid: Farm, tmp_path: Path) -> None:
    grid.start_worker("w4", slots=1, env={"FFGRID_ROOTS": f"Other={tmp_path}"})
    endless = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"]
    labels = ["--label", "worker=w1"]
    busy = [grid.ffgrid("submit", *labels, "--", *endless).stdout.strip() for _ in range(2)]
    until(lambda: {grid.job(job_id)["state"] for job_id in busy} == {"running"})
    try:
        _, checks = doctor(grid, "--timeout", "30s")
    finally:
        grid.ffgrid("cancel", *busy)
        grid.workers.pop().kill()
        until(lambda: {one["id"]: one["state"] for one in grid.known_workers()}["w4"] == "offline")
    sentences = {sentence.split(" ")[1]: (verdict, sentence) for verdict, sentence in about(checks, "root")}

    assert {grid.job(job_id)["worker"] for job_id in busy} == {"w1"}
    assert sentences["w1"][0] == "skipped"
    assert "its slots are full" in sentences["w1"][1]
    assert sentences["w2"][0] == "ok"
    assert sentences["w4"] == ("warn", f"{ROOT_NAME}: w4 does not have it, so it takes no job that names it")


def test_a_redis_that_evicts(grid: Farm) -> None:
    async def policy(name: str) -> None:
        store = Store(grid.redis_url)
        try:
            await store.redis.config_set("maxmemory-policy", name)
        finally:
            await store.close()

    asyncio.run(policy("allkeys-lru"))
    try:
        status, checks = doctor(grid)
    finally:
        asyncio.run(policy("noeviction"))

    assert status == 1
    assert "allkeys-lru" in the(checks, "redis eviction")["sentence"]
    assert "CONFIG SET maxmemory-policy noeviction" in the(checks, "redis eviction")["mend"]


def test_a_redis_that_is_not_there(grid: Farm) -> None:
    status, checks = doctor(grid, FFGRID_REDIS_URL=f"redis://:secret@127.0.0.1:{free_port()}")

    assert status == 1
    assert the(checks, "redis")["verdict"] == "bad"
    assert "secret" not in json.dumps(checks)


def test_a_proxy_that_keeps_answers_back(grid: Farm) -> None:
    class Buffering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            names = ("Signature", "Signature-Input", "Content-Digest", "Content-Type")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            asked = urllib.request.Request(
                grid.webs[0].url + self.path, body or None, headers, method=self.command
            )
            try:
                with urllib.request.urlopen(asked) as answer:
                    status, date, content = answer.status, answer.headers["Date"], answer.read()
            except urllib.error.HTTPError as refusal:
                status, date, content = refusal.code, refusal.headers["Date"], refusal.read()
            self.send_response_only(status)
            self.send_header("Date", date)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *ignored: object) -> None:
            return

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Buffering)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        status, checks = doctor(grid, "--url", f"http://127.0.0.1:{proxy.server_port}")
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()

    assert status == 1
    assert [one["check"] for one in checks if one["verdict"] == "bad"] == ["stream"]
    assert "came only after" in the(checks, "stream")["sentence"]
    assert "proxy_buffering off" in the(checks, "stream")["mend"]


def test_a_launcher_that_reaches_nobody(grid: Farm) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    shim = grid.install_shim("--url", nowhere)
    status, checks = doctor(grid, "--shim", str(shim))
    (shim / "ffprobe").unlink()
    _, again = doctor(grid, "--shim", str(shim))

    assert status == 1
    assert {verdict for verdict, _ in about(checks, "shim")} == {"bad"}
    assert "reaches no worker" in about(checks, "shim")[0][1]
    assert ("bad", f"{shim / 'ffprobe'} is not there") in about(again, "shim")


BROKEN = """\
#!/bin/sh
case "$*" in *-version*|*-encoders*|*-buildconf*) exec ffmpeg "$@";; esac
echo "[x] No capable devices found" >&2
exit 1
"""


def test_an_encoder_that_is_announced_has_to_encode_a_frame(
    grid: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "HARDWARE", {"libx264": (), "_nvenc": ()})
    broken = tmp_path / "ffmpeg"
    broken.write_text(BROKEN)
    broken.chmod(0o755)
    grid.start_worker("w5", ffmpeg=str(broken))
    environ = {name: value for name, value in grid.environ.items() if name.startswith("FFGRID_")}
    scene = Scene(Settings.load(environ), grid.known_workers(), time.monotonic() + 30)
    (good,) = machines.frame(scene, "w1", "libx264")
    (bad,) = machines.frame(scene, "w5", "libx264")
    grid.workers.pop().kill()

    assert machines.hardware(scene.workers[0]) == ["libx264"]
    assert (good.verdict, good.sentence) == ("ok", "w1: libx264 has encoded a frame")
    assert bad.verdict == "bad"
    assert bad.sentence == "w5: libx264 is announced and does not work: [x] No capable devices found"
    assert "usermod -aG render,video" in bad.mend


@pytest.mark.parametrize("encoder", ["h264_nvenc", "hevc_qsv", "h264_vaapi", "h264_vulkan"])
def test_hardware_gets_a_frame_that_it_can_take(encoder: str) -> None:
    args = machines.one_frame(encoder)

    assert args[args.index("-c:v") + 1] == encoder
    assert ("hwupload" in " ".join(args)) == (encoder in ("h264_vaapi", "h264_vulkan"))


def test_nothing_at_all_is_still_an_answer(tmp_path: Path, grid: Farm) -> None:
    env = {"FFGRID_URL": f"http://127.0.0.1:{free_port()}", "FFGRID_KEY_FILE": str(tmp_path / "none")}
    done = grid.ffgrid("doctor", FFGRID_REDIS_URL=None, FFGRID_ROOTS=None, PATH="/nowhere", **env)

    assert done.returncode == 1
    assert "skipped redis" in done.stdout
    assert "✗ bad     coordinator" in done.stdout
    assert "mend it: " in done.stdout


def test_a_check_that_does_not_end_holds_nobody_up() -> None:
    hang, good = threading.Event(), Finding("b", "ok", "well")

    def hangs() -> list[Finding]:
        hang.wait()
        return []

    found = list(together([("a", hangs), ("b", lambda: [good])], time.monotonic() + 0.1))
    hang.set()

    assert [(one.check, one.verdict) for one in found] == [("a", "skipped"), ("b", "ok")]


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(0, "ok"), (-1.9, "ok"), (5, "warn"), (-5, "warn"), (90, "bad")]
)
def test_two_clocks(ahead: float, verdict: str) -> None:
    found = clock("http://x", ahead)

    assert found.verdict == verdict
    assert bool(found.mend) == (verdict != "ok")


@pytest.mark.parametrize(("free", "verdict"), [(5 << 30, "ok"), (1 << 29, "warn"), (1 << 20, "bad")])
def test_room_on_a_disk(free: int, verdict: str) -> None:
    assert room("data", Path("/var"), free).verdict == verdict
