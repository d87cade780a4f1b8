"""What a run costs by formulas: parameters, FLOPs, and the estimate of a whole campaign."""

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.widths.hyperparameters import WidthsHyperparameters
from hpobench_llm.collect.widths.spec import VOCABULARY, WidthsCampaign, WidthsModel

SECONDS_PER_HOUR = 3600


def matrix_parameters(model: WidthsModel, width: int) -> int:
    """Return the parameters that a token is multiplied by: all layers' matrices and the head."""
    return model.layers * (4 + 3 * model.mlp_ratio) * width**2 + VOCABULARY * width


def parameters(model: WidthsModel, width: int) -> int:
    """Return all parameters: the matrices (the head is the embedding, too) and the gains."""
    return matrix_parameters(model, width) + (2 * model.layers + 1) * width


def forward_flops(model: WidthsModel, width: int) -> int:
    """Return the FLOPs of a token forward: two a matrix parameter, and attention in full."""
    attention = 4 * model.layers * width * model.context_tokens
    return 2 * matrix_parameters(model, width) + attention


def training_flops(model: WidthsModel, hyper: WidthsHyperparameters, steps: int) -> int:
    """Return the FLOPs of `steps` updates: backward counts as twice forward."""
    return 3 * forward_flops(model, hyper.width) * training_tokens(model, hyper, steps)


def training_tokens(model: WidthsModel, hyper: WidthsHyperparameters, steps: int) -> int:
    """Return the tokens of `steps` updates."""
    return steps * hyper.batch_rows * model.context_tokens


def estimate(campaign: WidthsCampaign, tasks: list[Task], assumptions: Assumptions) -> list[str]:
    """Return lines on what all runs will cost, the models that warm starts grow from included."""
    model, steps = campaign.model, campaign.checkpoints[-1]
    runs = [run for task in tasks for run in task.runs]
    hypers = [campaign.hyperparameters(run.config) for run in runs]
    grown = {(campaign.source_of(run), run.seed) for run in runs}
    sources = [source for source, _ in grown if source is not None]
    rows = (campaign.text.val_rows + campaign.text.test_rows) * len(campaign.checkpoints)
    evaluation = sum(
        forward_flops(model, hyper.width) * rows * model.context_tokens for hyper in hypers
    )
    training = sum(training_flops(model, hyper, steps) for hyper in hypers)
    growing = sum(training_flops(model, source, steps) for source in sources)
    models = len(hypers) + len(sources)
    seconds = assumptions.seconds(
        training + growing + evaluation, models * steps * model.layers, "float32"
    )
    widths = sorted({hyper.width for hyper in [*hypers, *sources]})
    sizes = ", ".join(f"{parameters(model, width):,} at {width}" for width in widths)
    return [
        f"estimate   parameters: {sizes}",
        f"estimate   {training:.2g} FLOPs of training, {growing:.2g} more for the {len(sources)} "
        f"models that warm starts grow from, {evaluation:.2g} of evaluation",
        f"estimate   {seconds / SECONDS_PER_HOUR:.2f} hours on {assumptions.devices} x "
        f"{assumptions.device}",
    ]
