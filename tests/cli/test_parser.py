"""What is typed wrongly: the answer says what may have been meant."""

from __future__ import annotations

import pytest

from app.cli.main import main
from app.cli.parser import meant


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("jbos", "there is no command 'jbos'; did you mean 'jobs'? `ffgrid --help` lists them"),
        ("keys ad", "there is no command 'ad'; did you mean 'add'? `ffgrid keys --help` lists them"),
        ("xyzzy", "there is no command 'xyzzy'. `ffgrid --help` lists them"),
        ("jobs --stats queued", "there is no flag or word '--stats' here; did you mean '--state'?"),
        ("show 01M7 --jsno", "there is no flag or word '--jsno' here; did you mean '--json'?"),
        ("jobs --satte=done", "there is no flag or word '--satte=done' here; did you mean '--state'?"),
        ("workers attic", "there is no flag or word 'attic' here."),
        ("submit --lnae low -- ffmpeg", "there is no flag or word '--lnae' here; did you mean '--lane'?"),
        ("jobs --state runing", "got 'runing'; did you mean 'running'?"),
        ("submit --lane urgent -- ffmpeg", "--lane: expected one of live, high, normal, low, got 'urgent'."),
        ("watch 01M7 --timeout soon", "expected a time such as 30s, 10m, 24h, 7d, got 'soon'"),
    ],
)
def test_the_answer_to_a_typing_error(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(typed.split())
    complaint = capsys.readouterr().err

    assert ended.value.code == 2
    assert complaint.startswith("usage: ffgrid")
    assert said in complaint.splitlines()[-1]


def test_nothing_is_proposed_that_is_not_alike() -> None:
    assert meant("zzz", ["jobs", "workers"]) == "."
    assert meant("workres", ["jobs", "workers"]) == "; did you mean 'workers'?"
