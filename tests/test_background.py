"""Work in the background: stopped between two items, its error told to whoever waits."""

from threading import Event

import pytest

from workbench.background import Background


def test_stopped_it_ends_after_the_item_under_way():
    begun, go_on, items = Event(), Event(), []

    def work():
        for number in range(3):
            begun.set()
            go_on.wait(10)
            items.append(number)
            yield number

    background = Background(work(), "counting")
    begun.wait(10)
    assert background.running
    background._stopping.set()
    go_on.set()
    background.stop()
    assert items == [0] and not background.running
    background.stop()  # again: nothing happens


def test_its_error_is_told_to_whoever_waits():
    def fail():
        yield 1
        raise ValueError("two")

    background = Background(fail(), "failing")
    with pytest.raises(ValueError, match="two"):
        background.wait(10)
    with pytest.raises(ValueError, match="two"):
        background.stop()
