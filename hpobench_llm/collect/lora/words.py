"""What a card says of a campaign of LoRA fine-tunes in words."""

from hpobench_llm.collect.lora.recipe import Data
from hpobench_llm.collect.lora.spec import LoraCampaign


def data_notes(data: Data) -> dict[str, str]:
    """Return what must be known of a campaign's rows, by source."""
    return {source.name: source.note for source in data.source if source.note}


def retraining(campaign: LoraCampaign) -> str:
    """Return what somebody who trains a run again would otherwise have to guess."""
    return " ".join(
        [
            _tokens(campaign.data),
            _steps(campaign),
            "The loss of an update is the mean over all label tokens of its rows, not a mean of "
            "means by pass; its gradients are clipped by their global norm, then AdamW steps with "
            "decoupled weight decay. Of the U updates of a run the first w = ceil(warmup_fraction "
            "U) have the peak rate times (u + 1) / (w + 1), counted from u = 0, the others "
            "(1 + cos(pi (u - w) / (U - w))) / 2 of it: a cosine that ends at zero.",
            f"The base is computed in {campaign.base.precision}, whatever it is stored in, the "
            "adapters in float32; `torch.manual_seed(seed)` comes before PEFT draws A, and B "
            "starts at zero. Adapters alone have dropout, the base's own is off.",
            _rows(campaign),
        ]
    )


def _tokens(data: Data) -> str:
    if data.chat_template:
        prompt = (
            "A row is the question in the tokenizer's own chat template, then the answer up to "
            "the end of its turn"
        )
    else:
        prompt = (
            "A row is the tokenizer's begin token, where it has one, the prompt "
            f"{data.template!r}, the answer and the end token"
        )
    return (
        f"{prompt}. The answer and its end alone are labels; a loss in nats per label token is "
        f"their sum over their number, over all rows of a set. Rows of more than "
        f"{data.max_tokens} tokens are not used."
    )


def _steps(campaign: LoraCampaign) -> str:
    if campaign.steps_are == "updates":
        return f"A step is an update, made of passes over {campaign.step_rows} rows."
    return (
        f"A step is one forward and backward pass over {campaign.step_rows} rows; an update of "
        "the weights comes whenever batch_rows rows have passed."
    )


def _rows(campaign: LoraCampaign) -> str:
    data = campaign.data
    first = " of the first row of its group" if data.group_words else ""
    held_out = data.val_fraction + data.test_fraction
    return (
        "A row's place is the SHA-256 of its question (lower case, single spaces): digits 33 to "
        f"48{first}, as a share of their range, below {data.val_fraction:g} are validation, below "
        f"{held_out:g} test, else training; each set is in the order of the whole hash, and its "
        "first rows are used. A run sees the training rows in the order of "
        "`numpy.random.default_rng(seed).permutation`, a new one each epoch."
    )
