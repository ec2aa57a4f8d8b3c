import pytest

from frisket.training.progress import Live, Plain, Silent, left, progress


def test_plain_lines_are_rare_but_the_last_is_shown(capsys):
    show = Plain(10, 0, pause=1e9)
    for step in range(1, 11):
        show.show(step, {"loss": 0.123456, "lr": 1.0})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("step 10/10  loss 0.1235")


def test_only_the_first_process_speaks(capsys):
    show = progress(10, 0, first=False)
    assert isinstance(show, Silent)
    show.show(10, {"loss": 1.0})
    show.say("hello")
    show.close()
    assert capsys.readouterr().err == ""


def test_a_pipe_gets_plain_lines():
    assert isinstance(progress(10, 0, first=True), Plain)


def test_the_live_bar_shows_step_loss_and_messages(capsys):
    show = Live(10, 4)
    show.show(7, {"loss": 0.5})
    show.say("saved [somewhere]")
    show.close()
    said = capsys.readouterr().err
    assert "saved [somewhere]" in said
    assert "7/10" in said
    assert "loss 0.5" in said


@pytest.mark.parametrize(
    ("steps", "rate", "text"), [(90, 1.0, "1:30"), (7322, 2.0, "1:01:01"), (5, 0.0, "-:--"), (0, 3.0, "0:00")]
)
def test_time_left(steps, rate, text):
    assert left(steps, rate) == text
