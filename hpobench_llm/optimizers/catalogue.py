"""The optimizers that come with the package."""

from hpobench_llm.optimizers.entry import Entry

ENTRIES = {
    "random": Entry(
        "random.random_search:RandomSearch",
        "random",
        "",
        "independent uniform draws",
        objectives="several",
    ),
    "sobol": Entry(
        "random.sobol:Sobol", "random", "scipy", "scrambled sequence", objectives="several"
    ),
    "grid": Entry(
        "random.grid:Grid",
        "random",
        "",
        "shuffled, 10 values of a continuous axis",
        objectives="several",
        ends=True,
    ),
    "nomad": Entry(
        "direct_search.nomad:Nomad",
        "direct search",
        "PyNomadBBO",
        "mesh adaptive direct search",
        sequential=True,
        ends=True,
    ),
    "nomad-mo": Entry(
        "direct_search.nomad_mo:NomadMo",
        "direct search",
        "PyNomadBBO",
        "DMulti-MADS",
        objectives="several",
        sequential=True,
        ends=True,
    ),
    "cmaes": Entry(
        "evolutionary.cma_es:CmaEs", "evolutionary", "cmaes", "CMA-ES with margin, restarts"
    ),
    "de": Entry(
        "evolutionary.differential_evolution:DifferentialEvolution",
        "evolutionary",
        "",
        "DE/rand/1/bin, population 20",
    ),
    "regularized-evolution": Entry(
        "evolutionary.regularized_evolution:RegularizedEvolution",
        "evolutionary",
        "",
        "the oldest dies, population 100",
    ),
    "nsga2": Entry(
        "evolutionary.nsga2:Nsga2",
        "evolutionary",
        "pymoo",
        "NSGA-II, population 20",
        objectives="several",
    ),
    "local-search-mo": Entry(
        "evolutionary.local_search:LocalSearchMo",
        "evolutionary",
        "",
        "neighbours of the Pareto front",
        objectives="several",
    ),
    "tpe-nni": Entry(
        "model_based.tpe_nni:TpeNni",
        "model-based",
        "nni",
        "NNI's TPE, 20 random starts",
        ends=True,
    ),
    "tpe-optuna": Entry(
        "model_based.tpe_optuna:TpeOptuna",
        "model-based",
        "optuna",
        "Optuna's TPE, 10 random starts",
    ),
    "motpe": Entry(
        "model_based.tpe_optuna:Motpe",
        "model-based",
        "optuna",
        "Optuna's TPE by hypervolume, 10 random starts",
        objectives="several",
    ),
    "random-scalarisation": Entry(
        "model_based.random_scalarisation:RandomScalarisation",
        "model-based",
        "optuna",
        "new weights for every trial, then TPE",
        objectives="several",
    ),
    "gp": Entry(
        "model_based.gp:Gp",
        "model-based",
        "",
        "Gaussian process, log expected improvement",
    ),
    "bore": Entry(
        "model_based.bore:Bore",
        "model-based",
        "lightgbm",
        "classifier of the best quarter, 6 random starts",
    ),
    "cqr": Entry(
        "model_based.cqr:Cqr",
        "model-based",
        "lightgbm",
        "conformal quantile regression, Thompson sampling",
    ),
    "parego": Entry(
        "model_based.parego:Parego",
        "model-based",
        "",
        "Gaussian process on random weights",
        objectives="several",
    ),
    "successive-halving": Entry(
        "multi_fidelity.successive_halving:SuccessiveHalving",
        "multi-fidelity",
        "",
        "synchronous, eta 3",
        fidelity=True,
    ),
    "hyperband": Entry(
        "multi_fidelity.successive_halving:Hyperband",
        "multi-fidelity",
        "",
        "synchronous brackets, eta 3",
        fidelity=True,
    ),
    "asha": Entry(
        "multi_fidelity.asha:Asha",
        "multi-fidelity",
        "",
        "asynchronous, by promotion, eta 3",
        fidelity=True,
    ),
    "asha-stopping": Entry(
        "multi_fidelity.asha:AshaStopping",
        "multi-fidelity",
        "",
        "asynchronous, by stopping, eta 3",
        fidelity=True,
    ),
    "moasha": Entry(
        "multi_fidelity.moasha:MoAsha",
        "multi-fidelity",
        "",
        "ASHA by non-dominated fronts, eta 3",
        objectives="several",
        fidelity=True,
    ),
}
