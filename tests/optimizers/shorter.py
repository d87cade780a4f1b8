"""The methods whose search for a trial takes longest, with shorter ones: for tests of the rest."""

from optuna.samplers import GPSampler

from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.model_based.ehvi import Ehvi
from hpobench_llm.optimizers.model_based.optuna_gp import Gps
from hpobench_llm.optimizers.model_based.turbo import Turbo
from hpobench_llm.optimizers.multi_fidelity.knowledge_gradient import MfKg


class ShorterGps(Gps):
    """Climbs from 3 of 256 points."""

    entry = ENTRIES["gps"]

    def sampler(self) -> GPSampler:
        shorter = GPSampler(seed=self.seed)
        shorter._n_preliminary_samples, shorter._n_local_search = 256, 3
        shorter._n_qmc_samples_qei = shorter._n_qmc_samples_ehvi = 32
        return shorter


class ShorterTurbo(Turbo):
    """Draws a fifth of the candidates."""

    entry = ENTRIES["turbo"]
    candidates = 100


class ShorterEhvi(Ehvi):
    """Draws less, and climbs and fits by fewer steps."""

    entry = ENTRIES["ehvi"]
    draws, near, samples, starts, steps, fit_steps = 60, 20, 16, 1, 4, 10


class ShorterMfKg(MfKg):
    """Fits by fewer steps."""

    entry = ENTRIES["mf-kg"]
    fit_steps = 10


SHORTER = {"gps": ShorterGps, "turbo": ShorterTurbo, "ehvi": ShorterEhvi, "mf-kg": ShorterMfKg}
