"""The optimizers of the library `cmaes`: the one module that imports it.

Nomura and Shibata, "cmaes: a simple yet practical Python library for CMA-ES", arXiv 2402.01373.
"""

from hpobench_llm.errors import MissingDependencyError

try:
    from cmaes import CatCMAwM, CMAwM, COMOCatCMAwM
except ModuleNotFoundError as error:
    if error.name != "cmaes":
        raise
    names = "each of the optimizers 'cmaes', 'catcma', 'catcma-mo' and 'llm-cmaes'"
    raise MissingDependencyError("cmaes", "cmaes", names) from None

__all__ = ["CMAwM", "COMOCatCMAwM", "CatCMAwM"]
