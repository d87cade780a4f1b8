"""BoTorch's Gaussian processes and what they promise of candidates: arrays in, arrays out.

The one module of the optimizers that imports torch. Everything is in float64 on one thread, and
torch's own generator is left as it was.

Balandat, Karrer, Jiang, Daulton, Letham, Wilson and Bakshy, "BoTorch: a framework for efficient
Monte-Carlo Bayesian optimization", NeurIPS 2020.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hpobench_llm.errors import MissingDependencyError

try:
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective import logei
    from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.gp_regression_fidelity import SingleTaskMultiFidelityGP
    from botorch.sampling import SobolQMCNormalSampler
    from botorch.utils.multi_objective.hypervolume import infer_reference_point
    from gpytorch.mlls import ExactMarginalLogLikelihood
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("botorch", "gpytorch", "torch"):
        raise
    where = "each of the optimizers 'ehvi', 'turbo' and 'mf-kg'"
    raise MissingDependencyError("botorch", "botorch", where) from None

Array = NDArray[np.float64]

# BoTorch compiles a kernel of its own where it finds a compiler: minutes at first use, files in
# the user's home, and other roundings than on a machine without one.
logei._load_attempted = True


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """Let torch run on one thread and draw by `seed`; both are as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a likelihood that was not maximised to the end
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


class Regression:
    """A Gaussian process whose hyperparameters are fitted anew once the data grew by a quarter.

    Until then the data are new and the hyperparameters those of the last fit, from which the next
    fit begins; a fit takes at most `steps`. Several outputs are modelled independently.
    """

    def __init__(self, steps: int = 50, *, fidelity: bool = False) -> None:
        self._steps, self._fidelity = steps, fidelity
        self._last_fit: dict[str, torch.Tensor] | None = None
        self._size_at_last_fit = 0

    def fitted_to(self, x: Array, y: Array) -> Any:
        """Return the model given `x` (n, d) and `y` (n, m); with a fidelity, the last of d."""
        tx, ty = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
        if self._fidelity:
            model = SingleTaskMultiFidelityGP(tx, ty, data_fidelities=[x.shape[1] - 1])
        else:
            model = SingleTaskGP(tx, ty)
        if self._last_fit is not None:
            # Not strict: how outputs are standardised belongs to the new data, and is left out.
            model.load_state_dict(self._last_fit, strict=False)
        if len(x) >= 1.25 * self._size_at_last_fit:
            mll = ExactMarginalLogLikelihood(model.likelihood, model)
            fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": self._steps}})
            self._size_at_last_fit = len(x)
            self._last_fit = {
                key: value.clone()
                for key, value in model.state_dict().items()
                if "outcome_transform" not in key
            }
        model.eval()  # posteriors are asked for from now on, not likelihoods of a fit
        return model


class Improvement:
    """The log of the expected noisy (hypervolume) improvement, as a function of candidates.

    Of the model's outputs the first `objectives` are maximized, the others are constraints: at
    most 0 where they are kept. The hypervolume's reference point is the worst of all `baseline`
    `(k, d)` in each objective, not of their front alone, less a tenth of their range. With one
    objective it is the improvement on the best.
    """

    def __init__(
        self, model: Any, baseline: Array, pending: Array, *, objectives: int, samples: int
    ) -> None:
        outputs = model.posterior(torch.tensor(baseline)).mean.detach()
        bounds = [partial(_column, index=index) for index in range(objectives, outputs.shape[-1])]
        shared = {
            "X_baseline": torch.tensor(baseline),
            "X_pending": torch.tensor(pending) if len(pending) else None,
            "sampler": SobolQMCNormalSampler(torch.Size([samples]), seed=0),
            "constraints": bounds or None,
            "prune_baseline": True,
        }
        if objectives == 1:
            self._value = qLogNoisyExpectedImprovement(
                model, objective=GenericMCObjective(partial(_column, index=0)), **shared
            )
        else:
            self._value = logei.qLogNoisyExpectedHypervolumeImprovement(
                model,
                ref_point=infer_reference_point(outputs[:, :objectives], scale=0.1).tolist(),
                objective=IdentityMCMultiOutputObjective(list(range(objectives))),
                **shared,
            )

    def of(self, candidates: Array) -> Array:
        """Return the improvement of each of the candidates `(n, d)`, `(n,)`."""
        with torch.no_grad():
            values: Array = self._value(torch.tensor(candidates)[:, None, :]).numpy()
        return values

    def climb(self, starts: Array, free: NDArray[np.bool_], steps: int) -> Array:
        """Return where L-BFGS-B ends from each of the starts `(n, d)` in at most so many steps.

        Only the columns that are `free` `(d,)` move, within [0, 1].
        """

        def loss(flat: Array) -> tuple[float, Array]:
            points = torch.tensor(flat.reshape(starts.shape))[:, None, :].requires_grad_()
            # A sum of terms that share no column: its gradient climbs from all starts at once.
            value = -self._value(points).sum()
            (slope,) = torch.autograd.grad(value, points)
            return float(value), slope.numpy().ravel()

        low, high = np.where(free, 0.0, starts), np.where(free, 1.0, starts)
        ends = minimize(
            loss,
            starts.ravel(),
            method="L-BFGS-B",
            jac=True,
            bounds=list(zip(low.ravel(), high.ravel(), strict=True)),
            options={"maxiter": steps},
        )
        reached: Array = ends.x.reshape(starts.shape)
        return reached


def posterior(model: Any, x: Array) -> tuple[Array, Array]:
    """Return the mean `(n,)` and the covariance `(n, n)` of the function at `x` `(n, d)`."""
    with torch.no_grad():
        prediction = model.posterior(torch.tensor(x))
        mean: Array = prediction.mean[:, 0].numpy()
        covariance: Array = prediction.distribution.covariance_matrix.numpy()
    return mean, covariance


def lengths(model: Any) -> Array:
    """Return the fitted length scale of each column of the inputs `(d,)`."""
    with torch.no_grad():
        scales: Array = model.covar_module.lengthscale.reshape(-1).numpy().copy()
    return scales


def noise(model: Any) -> float:
    """Return the variance of an observation about the function, in the units of the outputs."""
    with torch.no_grad():
        # The likelihood's noise is that of standardised outputs.
        scale = float(model.outcome_transform.stdvs.squeeze() ** 2)
        return float(model.likelihood.noise.squeeze()) * scale


def _column(outputs: Any, X: object = None, *, index: int) -> Any:
    return outputs[..., index]
