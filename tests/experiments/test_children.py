"""Processes that end with the one they work for."""

import os
import signal
import sys
import threading
import time

import pytest

from frisket.experiments.children import Children, children

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def test_the_output_and_the_exit_code_come_back(tmp_path):
    code = Children().run([sys.executable, "-c", "print('said'); raise SystemExit(3)"], tmp_path / "log", os.environ)
    assert code == 3
    assert (tmp_path / "log").read_text() == "said\n"


def test_sigterm_ends_them_and_none_begins_after_it(tmp_path):
    log, before, ended = tmp_path / "log", signal.getsignal(signal.SIGTERM), []

    def work(own):
        with pytest.raises(SystemExit) as stop:
            own.run(SLEEP, log, os.environ)
        ended.append(stop.value.code)

    with children() as own:
        thread = threading.Thread(target=work, args=(own,))
        thread.start()
        while not (log.is_file() and log.read_text()):
            time.sleep(0.01)
        (process,) = own.running
        signal.raise_signal(signal.SIGTERM)
        thread.join()
        assert process.returncode == -signal.SIGTERM
        assert not own.running
        with pytest.raises(SystemExit):
            own.run(SLEEP, tmp_path / "other", os.environ)
    assert ended == [0]
    assert signal.getsignal(signal.SIGTERM) == before
