"""What outlives all runs is exempt from collections of garbage while they are trained."""

import gc

from hpobench_llm.collect.executors.garbage import spared


def test_what_was_there_is_exempt_inside_and_not_after():
    before = gc.get_freeze_count()
    gc.unfreeze()
    try:
        with spared():
            assert gc.get_freeze_count() > 1000
        assert gc.get_freeze_count() == 0
    finally:
        if before:
            gc.freeze()


def test_what_another_has_exempted_stays_so():
    before = gc.get_freeze_count()
    gc.freeze()
    count = gc.get_freeze_count()
    try:
        with spared():
            pass
        assert gc.get_freeze_count() > count / 2
    finally:
        if not before:
            gc.unfreeze()
