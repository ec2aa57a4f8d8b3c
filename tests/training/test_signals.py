import signal
import threading

from frisket.training.signals import SIGINT, SIGTERM, asked_to_stop


def test_a_signal_is_noted_and_the_handlers_come_back():
    before = [signal.getsignal(n) for n in (SIGTERM, SIGINT)]
    with asked_to_stop() as asked:
        assert not asked.is_set(SIGTERM)
        signal.raise_signal(SIGTERM)
        assert asked.is_set(SIGTERM)
        assert not asked.is_set(SIGINT)
        assert signal.getsignal(SIGTERM) == before[0]  # a second one acts as ever
    assert [signal.getsignal(n) for n in (SIGTERM, SIGINT)] == before


def test_another_thread_watches_nothing():
    found = []

    def run():
        with asked_to_stop() as asked:
            found.append(asked.number)

    before = signal.getsignal(SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [0]
    assert signal.getsignal(SIGTERM) == before
