"""`ffgrid submit`, `jobs`, `show`, `logs`, `cancel` and `retry`, as people use them, on real processes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from app.cli import exchange, jobs
from app.cli.main import main
from tests.cli.conftest import act
from tests.farm import FFGRID, ROOT_NAME, Farm, until
from tests.ports import free_port

UNKNOWN = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"


def submitted(farm: Farm, *command: str | Path) -> str:
    """The id of a new job."""
    done = farm.ffgrid("submit", "--", *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ended(farm: Farm, job_id: str) -> str:
    """The state it ends in."""
    found: str = until(lambda: (job := farm.job(job_id))["finished"] and job["state"])
    return found


@pytest.fixture(scope="module")
def film(farm: Farm) -> Path:
    return farm.media("a film's [1] 100%.mkv", seconds=4)


@pytest.fixture(scope="module")
def done_job(farm: Farm, film: Path) -> str:
    """A job that has ended well."""
    job_id = submitted(farm, "ffprobe", "-v", "error", "-show_format", film)
    assert ended(farm, job_id) == "done"
    return job_id


# Submitting


def test_a_job_is_one_line_that_names_it_and_the_result_is_where_it_was_wanted(
    farm: Farm, film: Path
) -> None:
    out = farm.client_root / "out [1].mkv"
    done = farm.ffgrid("submit", "--", "ffmpeg", "-y", "-i", film, "-c", "copy", out)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == 27
    assert ended(farm, done.stdout.strip()) == "done"
    assert out.stat().st_size > 10_000


def test_relative_names_work_in_a_root_and_below_it(farm: Farm, film: Path) -> None:
    below = farm.client_root / "below"
    below.mkdir()
    done = farm.ffgrid(
        "submit", "--wait", "--", "ffmpeg", "-v", "error", "-i", f"../{film.name}", "b.mkv", cwd=below
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (below / "b.mkv").exists()


def test_submit_gives_json(farm: Farm, film: Path) -> None:
    answer = json.loads(farm.ffgrid("submit", "--json", "--", "ffprobe", film).stdout)

    assert answer["new"] is True
    assert answer["qualified"] == 1
    assert len(answer["id"]) == 26


def test_a_lane_labels_and_attempts_are_handed_on(farm: Farm) -> None:
    words = ["--lane", "low", "--label", "gpu=yes", "--max-attempts", "1"]
    done = farm.ffgrid("submit", *words, "--", "ffprobe", "-version")
    job = farm.job(done.stdout.strip())
    farm.ffgrid("cancel", job["id"])

    assert (job["lane"], job["labels"]) == ("low", {"gpu": "yes"})
    assert done.stderr == "ffgrid: queued, but no live worker has the label gpu=yes\n"


def test_a_root_that_no_worker_has_is_a_warning(farm: Farm, tmp_path: Path) -> None:
    done = farm.ffgrid("submit", "--roots", f"Nobody={tmp_path}", "--", "ffprobe", tmp_path / "a.mkv")
    farm.ffgrid("cancel", done.stdout.strip())

    assert done.returncode == 0
    assert done.stderr == "ffgrid: queued, but no live worker has the root Nobody\n"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["vlc", "x"], "'vlc' cannot be run: only ffmpeg and ffprobe can"),
        ([], "no command: write it behind --"),
        (["ffprobe", "/etc/passwd"], f"'/etc/passwd' lies outside every root: known are {ROOT_NAME} ("),
        (["ffprobe", "../../../etc/passwd"], "lies outside every root"),
        (["ffmpeg", "-i", "-", "b.mkv"], "standard input"),
    ],
)
def test_what_cannot_run_elsewhere_is_wrong_usage(farm: Farm, command: list[str], sentence: str) -> None:
    done = farm.ffgrid("submit", "--", *command)

    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_coordinator_refuses_is_wrong_usage_too(farm: Farm) -> None:
    done = farm.ffgrid("submit", "--max-attempts", "11", "--", "ffprobe", "-version")

    assert done.returncode == 2
    assert done.stderr.startswith("ffgrid: max_attempts: ")


def test_100_kilobytes_of_arguments_work(farm: Farm, film: Path) -> None:
    extra = [word for n in range(1000) for word in ("-metadata", f"n{n}={'x' * 90}")]
    done = farm.ffgrid(
        "submit", "--wait", "--", "ffmpeg", "-v", "error", "-i", film, *extra, "-f", "null", "-"
    )

    assert sum(map(len, extra)) > 100_000
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_that_is_not_text_works(farm: Farm, film: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.mkv")
    done = farm.ffgrid(
        "submit", "--wait", "--", "ffmpeg", "-v", "error", "-y", "-i", film, "-c", "copy", name
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (farm.client_root / name).exists()


# Waiting


@pytest.mark.parametrize(
    "command",
    [
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json"],
        ["ffprobe", "-hide_banner"],
        ["ffprobe", "-v", "error", "nix.mkv"],
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "framemd5", "-", "-i"],
        ["ffmpeg", "-v", "error", "-f", "nix", "-i"],
    ],
)
def test_waiting_is_like_running_it_here(farm: Farm, film: Path, command: list[str]) -> None:
    command = [*command, film.name]
    here = subprocess.run(command, cwd=farm.client_root, capture_output=True, stdin=subprocess.DEVNULL)
    there = farm.ffgrid("submit", "--wait", "--", *command)

    assert there.returncode == here.returncode
    assert there.stdout.encode() == here.stdout
    assert there.stderr.encode() == here.stderr


def test_bytes_come_as_they_were(acting: Farm) -> None:
    done = acting.ffgrid("submit", "--wait", "--", *act("bytes"))

    assert done.stdout.encode("utf-8", "surrogateescape") == b"\xff\x00\r\n\x01"
    assert done.stderr.encode("utf-8", "surrogateescape") == b"\xfe"


@pytest.mark.parametrize(("what", "status"), [("exit", 42), ("crash", 128 + 11)])
def test_the_exit_status_is_ffmpegs_own_and_128_more_for_a_signal(
    acting: Farm, what: str, status: int
) -> None:
    assert acting.ffgrid("submit", "--wait", "--", *act(what)).returncode == status


def test_waiting_gives_json_a_line_for_each_entry(farm: Farm, film: Path) -> None:
    done = farm.ffgrid("submit", "--wait", "--json", "--", "ffprobe", "-hide_banner", film)
    answer, *entries, end = map(json.loads, done.stdout.splitlines())

    assert answer["new"] is True
    assert {entry["kind"] for entry in entries} == {"stderr"}
    assert end == {"kind": "end", "state": "done", "exit": 0, "signal": None}


def test_a_job_that_could_not_run_fails_with_the_reason(farm: Farm, film: Path) -> None:
    done = farm.ffgrid("submit", "--wait", "--", "ffmpeg", "-i", film, "-c", "copy", film)

    assert done.returncode == 1
    assert f"{film.name!r} exists already: add -y to replace it".replace('"', "'") in done.stderr.replace(
        '"', "'"
    )


@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_a_signal_ends_the_job_and_the_command(acting: Farm, number: int, status: int) -> None:
    waiting = acting.begin("submit", "--wait", "--", *act("bye"))
    assert waiting.stderr
    assert waiting.stderr.read(8) == b"started\n"
    waiting.send_signal(number)
    rest = waiting.stderr.read().decode()
    job_id = rest.split("job ")[1][:26]

    assert waiting.wait() == status
    assert rest == f"bye\nffgrid: job {job_id} is cancelled\n"
    assert acting.job(job_id)["state"] == "cancelled"


def test_a_signal_before_the_job_has_begun_ends_it_too(acting: Farm) -> None:
    waiting = acting.begin("submit", "--wait", "--label", "no=where", "--", *act("exit"))
    assert waiting.stderr
    assert b"no live worker has the label" in waiting.stderr.readline()
    waiting.send_signal(2)

    assert b"is cancelled" in waiting.stderr.read()
    assert waiting.wait() == 130


def test_a_signal_that_is_ignored_stays_ignored(acting: Farm) -> None:
    script = 'trap "" INT; exec ffgrid submit --wait -- "$@"'
    command = ["sh", "-c", script, "sh", *act("count")]
    with subprocess.Popen(
        command, cwd=acting.client_root, env=acting.environ, stderr=subprocess.PIPE
    ) as waiting:
        assert waiting.stderr
        waiting.stderr.readline()
        waiting.send_signal(2)
        rest = waiting.stderr.read()

    assert rest.endswith(b"line 250\n")
    assert waiting.returncode == 0


def test_a_reader_who_goes_away_ends_the_job(acting: Farm) -> None:
    waiting = acting.begin("submit", "--wait", "--json", "--", *act("count"))
    assert waiting.stdout
    assert waiting.stderr
    job_id = json.loads(waiting.stdout.readline())["id"]
    waiting.stdout.close()

    assert ended(acting, job_id) == "cancelled"
    assert waiting.wait() != 0
    assert b"Traceback" not in waiting.stderr.read()


def test_a_full_disk_ends_the_job(acting: Farm) -> None:
    command = [FFGRID, "submit", "--wait", "--json", "--", *act("count")]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command,
            cwd=acting.client_root,
            env=acting.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    (job,) = acting.json("jobs", "--limit", "1")["jobs"]

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert ended(acting, job["id"]) == "cancelled"


def test_what_cancelled_a_job_is_told_to_who_waits_for_it(acting: Farm) -> None:
    waiting = acting.begin("submit", "--wait", "--", *act("hang"))
    assert waiting.stderr
    waiting.stderr.readline()
    (job,) = acting.json("jobs", "--state", "running")["jobs"]
    acting.ffgrid("cancel", job["id"])

    assert waiting.wait() == 128 + 15
    assert f"ffgrid: job {job['id']} cancelled after".encode() in waiting.stderr.read()


def test_a_lost_worker_is_told_to_who_waits(own_farm: Farm) -> None:
    own_farm.media("a.mkv")
    command = ["ffmpeg", "-v", "error", "-re", "-i", "a.mkv", "-f", "null", "-"]
    waiting = own_farm.begin("submit", "--wait", "--max-attempts", "1", "--", *command)
    until(lambda: [job for job in own_farm.jobs() if job["state"] == "running"])
    own_farm.workers[0].kill()

    assert waiting.wait(20) == 1
    assert waiting.stderr
    assert b"its worker w1 was lost" in waiting.stderr.read()


# Listing


def test_jobs_are_a_table_with_the_newest_first(farm: Farm, done_job: str) -> None:
    newest = submitted(farm, "ffprobe", "-version")
    head, *rows = farm.ffgrid("jobs", "--limit", "100").stdout.splitlines()

    assert head.split() == ["ID", "STATE", "LANE", "WORKER", "PROGRESS", "AGE", "TIME", "COMMAND"]
    assert rows[0].startswith(newest)
    assert any(row.startswith(f"{done_job}  done") and "  100%  " in row for row in rows)


def test_jobs_can_be_narrowed_to_a_state(farm: Farm, done_job: str) -> None:
    assert {job["state"] for job in farm.json("jobs", "--state", "done")["jobs"]} == {"done"}
    assert farm.ffgrid("jobs", "--state", "running").stdout == ""


def test_a_limit_may_be_larger_than_a_page(
    farm: Farm, done_job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = farm.json("jobs", "--limit", "1000")
    one = farm.json("jobs", "--limit", "1")

    assert everything["next"] is None
    assert len(everything["jobs"]) > 1
    assert one["jobs"] == everything["jobs"][:1]
    assert one["next"]


def test_pages_are_put_together(
    farm: Farm, done_job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = [job["id"] for job in farm.json("jobs", "--limit", "1000")["jobs"]]
    monkeypatch.setattr(jobs, "PAGE", 2)
    for name, value in farm.environ.items():
        monkeypatch.setenv(name, value)

    assert main(["jobs", "--limit", "5", "--json"]) == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)["jobs"]] == everything[:5]


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_is_at_least_one(farm: Farm, limit: str) -> None:
    done = farm.ffgrid("jobs", f"--limit={limit}")

    assert (done.returncode, done.stderr) == (
        2,
        f"ffgrid: --limit: expected a number from 1 on, got {limit}\n",
    )


def test_a_key_sees_its_own_jobs_only(farm: Farm, done_job: str) -> None:
    key = str(farm.add_key("stranger", "client"))
    listed = farm.ffgrid("jobs", FFGRID_KEY_FILE=key)
    shown = farm.ffgrid("show", done_job, FFGRID_KEY_FILE=key)

    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "ffgrid: there are no jobs\n")
    assert (shown.returncode, shown.stderr) == (3, f"ffgrid: there is no job {done_job}\n")


def test_a_terminal_without_unicode_is_no_reason_to_fail(farm: Farm) -> None:
    job_id = submitted(farm, "ffprobe", "-v", "error", "é.mkv")
    for words in (["jobs"], ["show", job_id], ["watch", job_id]):
        assert farm.ffgrid(*words, PYTHONIOENCODING="ascii").returncode in (0, 1)
    assert "ffprobe -v error '?.mkv'" in farm.ffgrid("jobs", PYTHONIOENCODING="ascii").stdout


# One job


def test_a_job_is_shown_as_lines(farm: Farm, done_job: str, film: Path) -> None:
    done = farm.ffgrid("show", done_job)
    facts = dict(line.split(":", 1) for line in done.stdout.splitlines())

    assert done.returncode == 0
    assert facts["id"].strip() == done_job
    assert facts["state"].strip().startswith("done in 0:0")
    assert f"{{{ROOT_NAME}}}/{film.name}".replace("'", "'\"'\"'") in facts["command"]
    assert facts["worker"].strip() == "w1"
    assert facts["attempts"].strip() == "1"
    assert facts["exit"].strip() == "0"
    assert facts["finished"].endswith("ago)")


def test_a_job_is_named_by_the_start_of_its_id(farm: Farm, done_job: str) -> None:
    for name in (done_job[:16], done_job[:16].lower(), done_job.lower()):
        assert farm.json("show", name)["id"] == done_job


def test_a_start_that_fits_several_lists_them(farm: Farm, done_job: str) -> None:
    other = submitted(farm, "ffprobe", "-version")
    done = farm.ffgrid("show", done_job[:4])

    assert done.returncode == 2
    assert f"{done_job[:4]} is the beginning of " in done.stderr
    assert other in done.stderr


@pytest.mark.parametrize("name", ["abc", "../../x", "", "ü" * 26, UNKNOWN + "0", "01M7 QFQE"])
def test_what_is_no_id_is_wrong_usage(farm: Farm, name: str) -> None:
    for command in ("show", "logs", "watch", "cancel", "retry"):
        done = farm.ffgrid(command, name)

        assert (done.returncode, done.stdout) == (2, "")
        assert "is no job's id: expected 26 letters and digits" in done.stderr


@pytest.mark.parametrize("command", ["show", "logs", "watch", "cancel", "retry"])
def test_a_job_that_is_not_there_is_not_found(farm: Farm, command: str) -> None:
    whole, start = farm.ffgrid(command, UNKNOWN), farm.ffgrid(command, UNKNOWN[:8])

    assert (whole.returncode, whole.stderr) == (3, f"ffgrid: there is no job {UNKNOWN}\n")
    assert (start.returncode, start.stderr) == (
        3,
        f"ffgrid: there is no job whose id begins with {UNKNOWN[:8]}\n",
    )


def test_a_job_can_be_run_again(farm: Farm, done_job: str) -> None:
    done = farm.ffgrid("retry", done_job)
    again = done.stdout.strip()

    assert done.returncode == 0
    assert again != done_job
    assert ended(farm, again) == "done"
    assert farm.job(again)["retry_of"] == done_job


def test_a_job_that_runs_cannot_be_run_again(acting: Farm) -> None:
    job_id = submitted(acting, *act("hang"))
    done = acting.ffgrid("retry", job_id)
    acting.ffgrid("cancel", job_id)

    assert done.returncode == 1
    assert "only a job that has ended can be run again" in done.stderr


def test_several_jobs_are_cancelled_and_one_that_cannot_be_is_no_obstacle(acting: Farm) -> None:
    first, second = submitted(acting, *act("hang")), submitted(acting, *act("hang"))
    done = acting.ffgrid("cancel", first, UNKNOWN, second)

    assert done.returncode == 3
    assert [line.split()[0] for line in done.stdout.splitlines()] == [first, second]
    assert done.stderr == f"ffgrid: there is no job {UNKNOWN}\n"
    assert [ended(acting, job_id) for job_id in (first, second)] == ["cancelled"] * 2


def test_a_job_that_has_ended_cannot_be_cancelled(farm: Farm, done_job: str) -> None:
    done = farm.ffgrid("cancel", done_job)

    assert (done.returncode, done.stderr) == (1, f"ffgrid: job {done_job} has ended already: it is done\n")
    assert json.loads(farm.ffgrid("cancel", done_job, "--json").stdout) == {"jobs": []}


def test_a_job_is_paused_and_resumed(acting: Farm) -> None:
    job_id = submitted(acting, *act("hang"))
    until(lambda: acting.job(job_id)["state"] == "running")

    paused = acting.ffgrid("pause", job_id)
    shown = acting.ffgrid("show", job_id).stdout
    listed = acting.ffgrid("jobs", "--state", "running").stdout
    resumed = acting.ffgrid("resume", job_id, "--json")

    assert (paused.returncode, paused.stdout) == (0, f"{job_id} pausing\n")
    assert "paused on actor" in shown
    assert [line.split()[1] for line in listed.splitlines() if line.startswith(job_id)] == ["paused"]
    assert json.loads(resumed.stdout) == {"id": job_id, "state": "running"}
    assert "running on actor" in acting.ffgrid("show", job_id).stdout
    acting.ffgrid("cancel", job_id)


def test_what_does_not_run_cannot_be_paused(farm: Farm, done_job: str) -> None:
    for what in ("pause", "resume"):
        done = farm.ffgrid(what, done_job)

        said = f"ffgrid: job {done_job} is done: only a running job can be paused\n"
        assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("nice", ["20", "-1"])
def test_a_niceness_that_is_none(farm: Farm, nice: str) -> None:
    done = farm.ffgrid("submit", f"--nice={nice}", "--", "ffmpeg", "-version")

    assert done.returncode == 2
    assert done.stderr.startswith("ffgrid: nice: expected `int`")


# Logs


def test_logs_are_what_the_job_printed(farm: Farm, done_job: str) -> None:
    done = farm.ffgrid("logs", done_job)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("[FORMAT]\nfilename=")


def test_logs_are_bytes_for_a_file(acting: Farm) -> None:
    job_id = submitted(acting, *act("escape"))
    ended(acting, job_id)

    assert acting.ffgrid("logs", job_id).stdout.encode() == b"a\x1b[2Jb\xc2\x9bc\n"


def test_logs_as_json_name_the_stream(farm: Farm, done_job: str) -> None:
    entry, end = map(json.loads, farm.ffgrid("logs", done_job, "--json").stdout.splitlines())

    assert (entry["kind"], entry["attempt"]) == ("stdout", 1)
    assert end["state"] == "done"


def test_logs_of_a_running_job_end_at_once_unless_followed(acting: Farm) -> None:
    job_id = submitted(acting, *act("count"))
    until(lambda: acting.ffgrid("logs", job_id).stdout)
    some = acting.ffgrid("logs", job_id).stdout.splitlines()
    followed = acting.ffgrid("logs", "-f", job_id).stdout.splitlines()

    assert 0 < len(some) < 250
    assert followed == [f"line {n}" for n in range(1, 251)]


def test_a_followed_log_loses_and_doubles_no_line_when_coordinators_are_killed(acting: Farm) -> None:
    followed = acting.begin("submit", "--wait", "--", *act("count"))
    assert followed.stderr
    first = followed.stderr.readline()
    for index in (0, 1, 0):
        acting.restart_web(index)
        time.sleep(0.2)
    got = (first + followed.stderr.read()).decode().splitlines()

    assert [line for line in got if "ffgrid" not in line] == [f"line {n}" for n in range(1, 251)]
    assert followed.wait() == 0


# Doors that are closed


def test_a_wrong_secret_is_not_allowed(farm: Farm, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.key"
    wrong.write_text(farm.key_file.read_text().replace("secret ", "secret 00")[:-3] + "\n")
    wrong.chmod(0o600)
    done = farm.ffgrid("jobs", "--key-file", wrong)

    assert done.returncode == 4
    assert "not signed by a valid key" in done.stderr


def test_a_workers_key_is_not_allowed(farm: Farm) -> None:
    done = farm.ffgrid("jobs", "--key-file", farm.folder / "w1.key")

    assert done.returncode == 4
    assert done.stderr == "ffgrid: a key of role worker may not do this: it takes client or admin\n"


def test_a_wrong_clock_is_told(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in farm.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(exchange, "time", lambda: time.time() - 90_000)  # more than is put right

    assert main(["jobs"]) == 4
    assert "this host's clock is " in (sentence := capsys.readouterr().err)
    assert " s behind the coordinator's: set it right" in sentence


def test_without_a_key_the_sentence_tells_how_to_get_one(farm: Farm) -> None:
    done = farm.ffgrid("jobs", FFGRID_KEY_FILE=None)

    assert done.returncode == 2
    assert "ffgrid keys add NAME --role client --out FILE" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["jobs"],
        ["show", UNKNOWN],
        ["logs", "-f", UNKNOWN],
        ["watch", UNKNOWN],
        ["cancel", UNKNOWN],
        ["workers"],
        ["submit", "--", "ffprobe", "-version"],
        ["submit", "--wait", "--", "ffprobe", "-version"],
    ],
)
def test_without_a_coordinator_every_command_says_so_and_ends_with_5(farm: Farm, words: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = farm.ffgrid(*words, FFGRID_URL=url)

    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        f"ffgrid: no coordinator answers at {url} (connection refused): "
        "start one with `ffgrid web`, or say with FFGRID_URL where one runs\n"
    )


def test_one_coordinator_of_two_is_enough(farm: Farm) -> None:
    urls = f"http://127.0.0.1:{free_port()} {farm.webs[1].url}"

    assert farm.ffgrid("jobs", FFGRID_URL=urls).returncode == 0


def test_without_redis_it_is_worth_another_try(own_farm: Farm) -> None:
    assert own_farm.redis
    own_farm.redis.kill()

    for words in (["jobs"], ["submit", "--", "ffprobe", "-version"]):
        done = own_farm.ffgrid(*words)
        assert (done.returncode, done.stdout) == (75, "")
        assert (
            done.stderr
            == "ffgrid: the queue (Redis) cannot be reached: try again, doing it twice is harmless\n"
        )
