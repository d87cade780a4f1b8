"""A language model as an optimizer: it is told the trials and asked for the next. Our own code.

As the greedy baseline of Ferreira et al., "Can LLMs beat classical hyperparameter optimization
algorithms?", arXiv 2603.24647 (read in their code, `llm_greedy_backend.py`, not in the paper).
"""

from typing import ClassVar

from hpobench_llm.errors import ConfigurationError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.language_model.answers import Answers
from hpobench_llm.optimizers.language_model.prompt import (
    WRONG,
    FinishedTrial,
    question,
    read_configuration,
)
from hpobench_llm.space import Configuration, Space
from hpobench_llm.sticks import StickSpace


class Adviser:
    """Asks a model for configurations of a space, until one of its answers can be run.

    The seed of a request is the optimizer's, so that other seeds get other answers where the
    endpoint obeys it; a seed of more than 31 bits is cut.
    """

    attempts: ClassVar[int] = 3
    temperature: ClassVar[float] = 0.7

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._answers = Answers.of_environment()
        # The model is asked for proportions, which sum to one, and not for sticks.
        searched = optimizer.space
        self._sticks = searched if isinstance(searched, StickSpace) else None
        self.space: Space = searched if self._sticks is None else self._sticks.whole
        self._trials: list[FinishedTrial] = []
        self._running: dict[int, Configuration] = {}

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._answers.model

    def configuration(self, number: int, advice: str = "") -> Configuration:
        """Return what the model wants trial `number` to be, as the optimizer's space has it.

        Raises:
            OptimizerError: no answer, or none of the answers can be run.
        """
        optimizer = self._optimizer
        prompt = question(
            self.space,
            optimizer.objectives,
            optimizer.constraints,
            self._trials,
            list(self._running.values()),
            optimizer.budget,
            advice,
        )
        # Another process may have kept another answer meanwhile: then the talk is held again,
        # with that answer, so that what is on disk gives this configuration in any replay.
        while True:
            config = self._conversation(number, prompt)
            if self._answers.keep():
                return optimizer.encoded(config)

    def _conversation(self, number: int, prompt: str) -> Configuration:
        self._answers.forget()
        messages = [{"role": "user", "content": prompt}]
        seed = self._optimizer.seed % 2**31
        for _ in range(self.attempts):
            answer = self._answers.answer(messages, seed=seed, temperature=self.temperature)
            try:
                return read_configuration(answer, self.space)
            except ConfigurationError as error:
                problem = str(error)
            # The model sees its own answer and why it cannot be run.
            messages += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": WRONG.format(problem=problem)},
            ]
        raise OptimizerError(
            f"{self.model}: trial {number}: none of {self.attempts} answers can be run, the last: "
            f"{problem}"
        )

    def begins(self, number: int, config: Configuration) -> None:
        """Note that a trial runs."""
        self._running[number] = self.decoded(config)

    def ended(self, trial: Trial, evaluation: Evaluation) -> None:
        """Note the outcome of a trial, with the configuration that was evaluated."""
        self._running.pop(trial.number, None)
        self._trials.append(FinishedTrial(trial.number, self.decoded(trial.config), evaluation))

    def decoded(self, config: Configuration) -> Configuration:
        """Return a configuration of the optimizer's space as the model sees it."""
        return config if self._sticks is None else self._sticks.decode(config)


class Llm(Optimizer):
    """Asks an OpenAI-compatible endpoint for each trial, with the prompt of `prompt.TASK`.

    The model is told the axes, the objectives and constraints, its last 15 trials and the best 15
    before, failures among them, and what runs. It is told nothing of the benchmark's name, base or
    data. Its answer is read as JSON: the last object that has all axes; one that cannot be run is
    answered with the reason, and three in a row end the optimizer with an error, where the
    published code clips and draws at random. Temperature 0.7, as published.

    The environment names the endpoint (`HPOBENCH_LLM_ENDPOINT`, base address; where it needs one,
    `HPOBENCH_LLM_API_KEY`; `HPOBENCH_LLM_TIMEOUT` in seconds, 120), the model
    (`HPOBENCH_LLM_MODEL`) and the folder of its answers (`HPOBENCH_LLM_ANSWERS`), by which a
    replay repeats without the endpoint, and one that was stopped goes on: see `answers`. Key and
    address are not kept there, prompts and answers are.

    Raises:
        OptimizerError: the environment lacks something, the endpoint does not answer, or its
            answers cannot be run.
    """

    takes_constraints = True
    liar = "told that it runs"
    seeding = "seed of the requests; answers as recorded"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._adviser = Adviser(self)
        self.seeding = f"seed of the requests to {self._adviser.model}; answers as recorded"

    def suggest(self, number: int) -> Suggestion:
        """Return what the model answers."""
        config = self._adviser.configuration(number)
        self._adviser.begins(number, config)
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Keep the outcome for the next prompt."""
        self._adviser.ended(trial, evaluation)
