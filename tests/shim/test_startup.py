"""From the call to the decision: sent away, or the local program by exec, or one sentence."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.wire import attach as frames
from app.wire import messages
from tests.farm import until
from tests.shim.conftest import Fake, Place, answer, problem, upgraded

Make = Callable[..., Fake]

HERE = ["-i", "a.mkv", "-f", "null", "-"]
TELL_NOBODY = {"FFGRID_CACHE": ""}  # calls that run here are not reported
HASTY = {"FFGRID_WAIT": "0.3"}  # and nobody is asked for long who gives no clear answer
ID = "01M7ZSCJGFM87A34V23JR094QD"
ACCEPTED = answer(201, {"id": ID, "qualified": 1, "new": True}, Location=f"/v1/jobs/{ID}")
PAGE = b"<html>Welcome to nginx</html>"
LIES = {
    "a web page": answer(200, PAGE),
    "a web page that says it was made": answer(201, PAGE),
    "a page that is not there": answer(404, PAGE),
    "a redirect": answer(302, PAGE, Location="https://login.example/"),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nonsense": b"\r\n\r\n",
    "half an answer": b"HTTP/1.1 503 Serv",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a body that is cut": b"HTTP/1.1 503 x\r\nContent-Length: 500\r\n\r\n{",
    "a status in other digits": b"HTTP/1.1 \xb2\xb9\xb2 OK\r\n\r\n",
    "a length in other digits": b"HTTP/1.1 503 OK\r\nContent-Length: \xb2\r\n\r\n",
    "nothing": b"",
}


def is_local(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Whether the local program has run and nothing else was said."""
    return done.stdout.startswith(b"local ") and done.returncode == 0 and done.stderr == b""


def sentence(done: subprocess.CompletedProcess[bytes], binary: str = "ffmpeg") -> str:
    """The one sentence of a call that could not be served."""
    assert done.returncode == 1
    assert done.stdout == b""
    text = done.stderr.decode()
    assert text.startswith(f"{binary} (ffgrid): "), text
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text.removeprefix(f"{binary} (ffgrid): ").rstrip("\n")


# The local program


def test_without_a_coordinator_the_local_program_runs_in_its_place(place: Place) -> None:
    process = subprocess.Popen(
        [place.install(), *HERE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=place.root
    )
    out, _ = process.communicate(timeout=30)

    assert out.startswith(b"local %d\n" % process.pid)  # it was exec, not a child
    assert process.returncode == 0


@pytest.mark.parametrize(
    "said",
    [
        problem(503, "no worker is alive"),
        problem(401, "not signed by a valid key"),
        problem(403, "not your business"),
        problem(422, "args[1]: lies outside every root"),
        problem(500, "failed"),
        answer(502, PAGE),
        answer(504, PAGE),
        *LIES.values(),
    ],
    ids=["no worker", "wrong key", "role", "refused", "failed", "bad gateway", "gateway timeout", *LIES],
)
def test_when_a_coordinator_does_not_take_it_the_local_program_runs(
    place: Place, fake: Make, said: bytes
) -> None:
    coordinator = fake(said)

    done = place.run(place.install(url=coordinator.url), *HERE, env=HASTY)

    assert is_local(done), done
    assert coordinator.asked[0][0].startswith("POST /v1/jobs HTTP/1.1\r\n")


def test_every_coordinator_is_asked_before_that(place: Place, fake: Make) -> None:
    first, second = fake(answer(502, PAGE)), fake(problem(503, "no worker is alive"))

    done = place.run(
        place.install(url=f"http://127.0.0.1:9,{first.url} {second.url}"), *HERE, env=TELL_NOBODY
    )

    assert is_local(done)
    assert (len(first.asked), len(second.asked)) == (1, 1)


def test_what_lies_outside_every_root_is_asked_of_nobody(place: Place, fake: Make) -> None:
    coordinator = fake(problem(503, "no"))
    launcher = place.install(url=coordinator.url)

    assert is_local(place.run(launcher, "-i", "/etc/passwd", "-f", "null", "-", env=TELL_NOBODY))
    assert is_local(place.run(launcher, *HERE, cwd="/", env=TELL_NOBODY))
    assert coordinator.asked == []


def test_it_gets_every_argument_as_it_was(place: Place) -> None:
    args: list[str | bytes] = [
        "-metadata",
        b"\xff\xfe",
        "",
        "a\nb",
        "it's",
        '"',
        "$HOME",
        "é",
        "x" * 100_000,
        "-",
    ]

    done = place.run(place.install(), *args)

    expected = b"".join(b"<%s>" % (one.encode() if isinstance(one, str) else one) for one in args)
    assert done.stdout.partition(b"\n")[2].partition(b"SigIgn")[0] == expected


def test_it_gets_the_input(place: Place) -> None:
    done = subprocess.run(
        [place.install(), *HERE], input=b"frames\0\xff", capture_output=True, check=True, cwd=place.root
    )

    assert done.stdout.endswith(b"frames\0\xff")


def test_it_ends_as_it_ends(place: Place) -> None:
    for script, status in (("exit 69", 69), ("kill -TERM $$", -signal.SIGTERM)):
        place.local.write_text(f"#!/bin/sh\n{script}\n")

        assert place.run(place.install(), *HERE).returncode == status


def test_it_gets_no_descriptor_of_ours(place: Place, fake: Make) -> None:
    launcher = place.install(url=fake(problem(503, "no worker is alive")).url)

    told = [place.run(program, *HERE).stdout.partition(b"SigIgn:")[2] for program in (place.local, launcher)]

    assert [one.split()[1:] for one in told] == [
        [b"0", b"1", b"10", b"2"]
    ] * 2  # sh has its script open as 10


def test_no_signal_is_ignored_by_it_that_would_not_be_at_home(place: Place) -> None:
    launcher = place.install()

    ignored = [
        place.run(program, *HERE).stdout.partition(b"SigIgn:")[2][:18] for program in (place.local, launcher)
    ]

    assert ignored[0] == ignored[1]


def test_a_reader_that_leaves_ends_it_as_at_home(place: Place) -> None:
    place.local.write_text("#!/bin/sh\nexec yes\n")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    with subprocess.Popen([place.install(), *HERE], cwd=place.root, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.read(100)
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (-signal.SIGPIPE, b"")


def test_ffprobe_falls_back_to_ffprobe(place: Place) -> None:
    (place.folder / "real" / "ffprobe").write_text("#!/bin/sh\necho probed\n")
    place.install()

    assert place.run(place.bin / "ffprobe", "a.mkv").stdout == b"probed\n"


def test_a_local_program_that_has_gone_is_said_in_one_sentence(place: Place) -> None:
    launcher = place.install()
    place.local.unlink()

    said = sentence(place.run(launcher, *HERE))

    assert "Connection refused" in said
    assert f"{place.local} cannot be run here: No such file or directory" in said


# One sentence


@pytest.mark.parametrize("binary", ["ffmpeg", "ffprobe"])
def test_nobody_answers(place: Place, binary: str) -> None:
    place.install("--no-local")

    said = sentence(place.run(place.bin / binary, *HERE[:2]), binary)

    assert said == "http://127.0.0.1:9: Connection refused"


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (503, "no live worker has the root Media"),
        (401, "the request is not signed by a valid key"),
        (422, "args: too many"),
    ],
)
def test_what_the_coordinator_says_is_the_sentence(
    place: Place, fake: Make, status: int, detail: str
) -> None:
    launcher = place.install("--no-local", url=fake(problem(status, detail)).url)

    assert sentence(place.run(launcher, *HERE)) == detail


@pytest.mark.parametrize("name", LIES)
def test_who_is_no_coordinator_is_said_in_one_sentence(place: Place, fake: Make, name: str) -> None:
    coordinator = fake(LIES[name])

    said = sentence(place.run(place.install("--no-local", url=coordinator.url), *HERE, env=HASTY))

    assert said
    assert "Error" not in said


@pytest.mark.parametrize(("skew", "direction"), [(86_400, "ahead of"), (-86_400, "behind")])
def test_a_clock_that_is_too_wrong_is_named(place: Place, fake: Make, skew: int, direction: str) -> None:
    coordinator = fake(problem(401, "not signed by a valid key", date=time.time() - skew))

    said = sentence(place.run(place.install("--no-local", url=coordinator.url), *HERE))

    found = re.fullmatch(rf"this host's clock is (\d+) s {direction} the coordinator's: set it right", said)
    assert found, said
    assert abs(int(found[1]) - abs(skew)) < 30
    assert len(coordinator.asked) == 1  # who can forge an answer gets nothing signed for the day after


@pytest.mark.parametrize("skew", [600, -600, 46_000])
def test_a_clock_that_is_wrong_is_put_right_once(place: Place, fake: Make, skew: int) -> None:
    wrong = problem(401, "not signed by a valid key", date=time.time() - skew)
    coordinator = fake(wrong, problem(503, "no worker is alive"))
    launcher = place.install("--no-local", url=coordinator.url)

    assert sentence(place.run(launcher, *HERE)) == "no worker is alive"
    first, second = [
        int(re.search(r"created=(\d+)", head)[1])  # type: ignore[index]
        for head, _ in coordinator.asked
    ]
    assert abs(first - second - skew) < 10
    coordinator.answers[:] = [wrong]
    assert sentence(place.run(launcher, *HERE)) == "not signed by a valid key"  # that was not the reason
    assert len(coordinator.asked) == 4


def test_a_clock_that_is_right_is_not_blamed(place: Place, fake: Make) -> None:
    coordinator = fake(problem(401, "not signed by a valid key", date=time.time() - 30))

    assert (
        sentence(place.run(place.install("--no-local", url=coordinator.url), *HERE))
        == "not signed by a valid key"
    )


def test_a_path_outside_every_root_is_named(place: Place) -> None:
    said = sentence(place.run(place.install("--no-local"), "-i", "/etc/passwd", "-f", "null", "-"))

    assert said == "'/etc/passwd' lies outside every root"


CONFIGURED: dict[str, tuple[str, str, str]] = {
    "no key file": (
        "FFGRID_KEY_FILE",
        "/nonexistent/key",
        "cannot read the key file /nonexistent/key: No such file",
    ),
    "a directory as the key file": ("FFGRID_KEY_FILE", "/", "key"),
    "a key file that is none": ("FFGRID_KEY_FILE", "/proc/self/status", "expected the lines 'id NAME'"),
    "roots that are none": ("FFGRID_ROOTS", "here", "cannot read 'here' in the roots"),
    "a root that is relative": ("FFGRID_ROOTS", "A=b", "cannot read 'A=b' in the roots"),
    "no address": ("FFGRID_URL", ",", "no coordinator is configured"),
    "an address that is none": ("FFGRID_URL", "ftp://x", "cannot read the coordinator's address 'ftp://x'"),
    "a host that is none": ("FFGRID_URL", "http://a..b:80", "http://a..b:80"),
    "a host that nobody has": ("FFGRID_URL", "http://no-such-host.invalid", "http://no-such-host.invalid: "),
    "a port that is none": ("FFGRID_URL", "http://127.0.0.1:99999", "http://127.0.0.1:99999"),
    "a port of another script": ("FFGRID_URL", "http://127.0.0.1:\N{SUPERSCRIPT TWO}", "127.0.0.1"),
    "a host that is no text": ("FFGRID_URL", "http://\udcff", "cannot"),
    "a wait that is none": ("FFGRID_WAIT", "soon", "cannot read FFGRID_WAIT='soon': expected seconds"),
    "a wait that is too short": ("FFGRID_WAIT", "0", "expected seconds from 0.1 on, or never"),
}


@pytest.mark.parametrize("name", CONFIGURED)
@pytest.mark.parametrize("is_local_there", [True, False])
def test_a_configuration_that_cannot_be_used(place: Place, name: str, is_local_there: bool) -> None:
    variable, value, word = CONFIGURED[name]
    launcher = place.install(*([] if is_local_there else ["--no-local"]))

    done = place.run(launcher, *HERE, env={variable: value})

    if is_local_there:
        assert is_local(done), done
    else:
        assert word in sentence(done)


# Once it has been taken


def test_the_environment_comes_before_what_was_baked_in(place: Place, fake: Make) -> None:
    baked, told = fake(problem(503, "baked")), fake(problem(503, "told"))
    launcher = place.install("--no-local", url=baked.url)

    assert sentence(place.run(launcher, *HERE, env={"FFGRID_URL": told.url})) == "told"
    assert baked.asked == []


def test_the_submission_says_what_the_launcher_was_made_for(place: Place, fake: Make) -> None:
    coordinator = fake(problem(503, "no"))
    place.run(place.install("--no-local", "--lane", "live", url=coordinator.url), *HERE)

    sent = json.loads(coordinator.asked[0][1])
    assert (sent["lane"], sent["attach"], sent["in_place"], sent["require_worker"]) == (
        "live",
        True,
        True,
        True,
    )
    assert sent["view"] == {"Media": str(place.root)}


@pytest.mark.parametrize(("nice", "lane"), [(0, "live"), (5, "low")])
def test_what_is_nice_is_not_urgent(place: Place, fake: Make, nice: int, lane: str) -> None:
    coordinator = fake(problem(503, "no"))
    launcher = place.install("--no-local", url=coordinator.url)
    command = ["nice", "-n", str(nice - os.getpriority(os.PRIO_PROCESS, 0)), launcher, *HERE]

    subprocess.run(
        command, cwd=place.root, env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    place.run(launcher, *HERE, env={"FFGRID_LANE": "high"})

    sent = [json.loads(body) for _, body in coordinator.asked]
    assert [(one["lane"], one["nice"]) for one in sent] == [(lane, nice), ("high", sent[1]["nice"])]


def test_a_job_that_was_withdrawn_is_run_here(place: Place, fake: Make) -> None:
    end = upgraded(ending(reason=messages.WITHDRAWN))

    done = place.run(place.install(url=fake(ACCEPTED, end).url), *HERE, env=TELL_NOBODY)
    elsewhere = place.run(place.install("--no-local", url=fake(ACCEPTED, end).url), *HERE)

    assert is_local(done)
    assert sentence(elsewhere) == messages.WITHDRAWN


def test_a_call_that_nobody_has_begun_is_asked_back_again_and_again(place: Place, fake: Make) -> None:
    silent, coordinator = (
        fake(ACCEPTED, upgraded(), b""),
        fake(answer(502, b""), answer(409, {}), answer(200, {})),
    )
    launcher = place.install(url=f"{coordinator.url} {silent.url}")
    call = subprocess.Popen(
        [launcher, *HERE], cwd=place.root, env={"FFGRID_WAIT": "0.2"}, stdin=subprocess.DEVNULL
    )
    until(lambda: len(coordinator.asked) >= 4)
    call.kill()
    call.wait()

    assert {head.partition("\r\n")[0] for head, _ in coordinator.asked[1:]} == {
        f"POST /v1/jobs/{ID}/cancel?if=queued HTTP/1.1"
    }


@pytest.mark.parametrize(
    "refusal", [problem(404, "there is no job"), problem(403, "no"), problem(409, "not attachable")]
)
def test_a_job_that_was_taken_is_never_run_here_as_well(place: Place, fake: Make, refusal: bytes) -> None:
    coordinator = fake(ACCEPTED, refusal)

    done = place.run(place.install(url=coordinator.url), *HERE)

    assert "the job was lost: " in sentence(done)
    assert coordinator.asked[1][0].startswith(f"GET /v1/jobs/{ID}/attach?after=0 HTTP/1.1\r\n")


def ending(code: int | None = None, number: int | None = None, reason: str = "") -> bytes:
    """The last frame."""
    return frames.encode(frames.EXIT, 9, frames.Exit(code, number, reason).encode())


@pytest.mark.parametrize("status", [0, 1, 69, 187, 255])
def test_it_ends_with_the_jobs_exit_status(place: Place, fake: Make, status: int) -> None:
    done = place.run(place.install(url=fake(ACCEPTED, upgraded(ending(status))).url), *HERE)

    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_by_the_jobs_signal_and_says_so(place: Place, fake: Make, number: signal.Signals) -> None:
    launcher = place.install(url=fake(ACCEPTED, upgraded(ending(None, number))).url)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]

    done = subprocess.run(
        ["prlimit", f"--core={'unlimited' if hard < 0 else hard}", launcher, *HERE],
        cwd=place.root,
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    said = f"ffmpeg (ffgrid): ended by signal {number:d} on the worker\n"
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", said.encode())
    assert [path.name for path in place.root.iterdir()] == []  # no core file


def test_a_broken_pipe_is_the_callers_own_doing(place: Place, fake: Make) -> None:
    done = place.run(place.install(url=fake(ACCEPTED, upgraded(ending(None, signal.SIGPIPE))).url), *HERE)

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGPIPE, b"", b"")


@pytest.mark.parametrize(
    ("reason", "word"), [("its worker was lost", "its worker was lost"), ("", "without saying how")]
)
def test_a_job_that_ended_without_a_status_is_one_sentence(
    place: Place, fake: Make, reason: str, word: str
) -> None:
    done = place.run(place.install(url=fake(ACCEPTED, upgraded(ending(None, None, reason))).url), *HERE)

    assert word in sentence(done)


def test_what_the_job_prints_is_printed(place: Place, fake: Make) -> None:
    flood = os.urandom(60_000)
    said = [
        frames.encode(frames.STDOUT, 1, b"a\0\xff\r\n"),
        frames.encode(frames.STDERR, 2, b"frame=1\r"),
        frames.encode(frames.STDOUT, 3, flood),
    ]

    done = place.run(place.install(url=fake(ACCEPTED, upgraded(*said, ending(0))).url), *HERE)

    assert (done.stdout, done.stderr, done.returncode) == (b"a\0\xff\r\n" + flood, b"frame=1\r", 0)


# Where it is called from


def test_what_lies_in_the_directory_or_in_pythons_variables_is_not_loaded(place: Place) -> None:
    for name in (
        "app",
        "shim",
        "binascii",
        "posix",
        "sys",
        "site",
        "sitecustomize",
        "usercustomize",
        "select",
    ):
        (place.root / f"{name}.py").write_text("print('pwned')\n")
    evil = str(place.root)
    env = {
        "PYTHONPATH": evil,
        "PYTHONSTARTUP": f"{evil}/app.py",
        "PYTHONHOME": "",
        "PYTHONINSPECT": "1",
        "PYTHONVERBOSE": "1",
    }

    done = place.run(place.install("--no-local"), *HERE, env=env)

    assert sentence(done) == "http://127.0.0.1:9: Connection refused"


def test_a_directory_that_has_been_deleted_is_no_directory(place: Place) -> None:
    (place.root / "gone").mkdir()
    script = f"cd {place.root}/gone && rmdir ../gone && exec {place.install()} -version"

    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )

    assert done.stdout.startswith(b"local ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(place: Place, fake: Make, closed: str) -> None:
    coordinator = fake(problem(503, "no"))
    log = place.folder / "ran"
    place.local.write_text(f"#!/bin/sh\necho ran >{log}\n")
    launcher = place.install(url=coordinator.url)

    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {launcher} -version {closed}"],
        capture_output=True,
        check=False,
        cwd=place.root,
    )

    assert done.returncode == 0
    assert (done.stdout, done.stderr) == (b"", b"")
    assert log.read_text() == "ran\n"
    assert coordinator.asked[0][1].endswith(b"}")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_not_taken_for_the_connection(
    place: Place, fake: Make, closed: str
) -> None:
    said = [frames.encode(frames.STDOUT, 1, b"picture"), frames.encode(frames.STDERR, 2, b"warning")]
    coordinator = fake(ACCEPTED, upgraded(*said, ending(0)))
    script = f"exec {place.install(url=coordinator.url)} -i - -f matroska - {closed}"

    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False, cwd=place.root)
    until(lambda: coordinator.served == 1)

    assert done.returncode == 0
    assert done.stdout == (b"" if " >&-" in f" {closed}" else b"picture")
    assert done.stderr == (b"" if "2>&-" in closed else b"warning")
    assert b"picture" not in coordinator.heard
    assert b"warning" not in coordinator.heard
    assert len(coordinator.heard) < 200  # and it has not sent to itself what it was sent


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_XX.ISO-8859-1", ""])
def test_bytes_stay_bytes_in_every_locale(place: Place, fake: Make, locale: str) -> None:
    coordinator = fake(problem(503, "no"))
    launcher = place.install(url=coordinator.url)

    done = place.run(launcher, "-metadata", b"\xe9", "-i", "é.mkv", "-f", "null", "-", env={"LC_ALL": locale})

    assert b"<\xe9><-i><\xc3\xa9.mkv>" in done.stdout
    assert json.loads(coordinator.asked[0][1])["args"][:4] == ["-metadata", [{"b64": "6Q=="}], "-i", "é.mkv"]


def test_nothing_is_written_anywhere(place: Place) -> None:
    launcher = place.install("--no-local")
    before = sorted(str(path) for path in place.folder.rglob("*"))

    place.run(launcher, *HERE, env={"HOME": str(place.folder), "TMPDIR": str(place.folder)})

    assert sorted(str(path) for path in place.folder.rglob("*")) == before


def test_the_key_file_is_all_that_it_reads_of_the_clients(place: Place) -> None:
    assert os.access(place.key_file, os.R_OK)
    assert Path(place.install()).read_text().count("ab" * 32) == 0  # the secret is not baked in


# Answers that are not clear


def test_who_may_have_taken_it_is_asked_until_he_says_so(place: Place, fake: Make) -> None:
    coordinator = fake(
        b"", answer(502, PAGE), problem(500, "failed"), b"HTTP/1.1 ", ACCEPTED, upgraded(ending(7))
    )

    done = place.run(place.install(url=coordinator.url), *HERE)

    bodies = [body for head, body in coordinator.asked if head.startswith("POST")]
    assert done.returncode == 7
    assert len(bodies) == 5
    assert len(set(bodies)) == 1  # one key, so one job


def test_who_may_have_taken_it_is_asked_though_another_is_gone_by_now(place: Place, fake: Make) -> None:
    """A coordinator is restarted, and when its turn comes the other one is."""
    coordinator = fake(b"", ACCEPTED, upgraded(ending(7)))
    url = f"http://127.0.0.1:{coordinator.port}"

    done = place.run(place.install(url=f"{url} http://127.0.0.1:9"), *HERE)

    assert done.returncode == 7


def test_a_coordinator_without_its_queue_is_left_for_another(place: Place, fake: Make) -> None:
    down = problem(503, "the queue cannot be reached", name="queue-unreachable", nothing_done=True)
    first, second = fake(down), fake(ACCEPTED, upgraded(ending(7)))

    assert place.run(place.install(url=f"{first.url} {second.url}"), *HERE).returncode == 7
    assert is_local(place.run(place.install(url=first.url), *HERE, env=TELL_NOBODY))
    assert len(first.asked) == 2  # no wait: nothing has been done, and it can be done here


def test_a_queue_that_comes_back_is_waited_for_where_nothing_can_run(place: Place, fake: Make) -> None:
    down = problem(503, "the queue cannot be reached", name="queue-unreachable", nothing_done=True)
    coordinator = fake(down, down, ACCEPTED, upgraded(ending(7)))

    assert place.run(place.install("--no-local", url=coordinator.url), *HERE).returncode == 7


@pytest.mark.parametrize(
    "cut", [problem(503, "going away", name="leaving"), problem(500, "failed"), answer(502, PAGE), b""]
)
def test_a_cut_while_attaching_is_asked_again(place: Place, fake: Make, cut: bytes) -> None:
    coordinator = fake(ACCEPTED, cut, cut, upgraded(ending(7)))

    done = place.run(place.install(url=coordinator.url), *HERE)

    assert (done.returncode, done.stderr) == (7, b"")
    assert [head.split()[0] for head, _ in coordinator.asked] == ["POST", "GET", "GET", "GET"]
