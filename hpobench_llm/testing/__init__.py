"""What every optimizer promises, as tests for one of your own.

    class TestMine(OptimizerContract):
        optimizer = Mine

pytest and unittest both run it; neither is needed to import it.
"""

from hpobench_llm.testing.contract import OptimizerContract

__all__ = ["OptimizerContract"]
