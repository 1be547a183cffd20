"""TRL's GRPOTrainer with our batches, our checkpoints and our watch. Needs torch and trl."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Sampler
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from proguard_core.training.grpo import checkpoints, weights
from proguard_core.training.grpo.collapse import collapse
from proguard_core.training.grpo.files import RunError, read_json
from proguard_core.training.grpo.model import precision, save_adapter
from proguard_core.training.grpo.plan import Plan
from proguard_core.training.grpo.record import Recorder
from proguard_core.training.grpo.settings import GrpoSettings

FINGERPRINT, UNTRAINED, PLAN = "fingerprint", "untrained", "plan"


def config(settings: GrpoSettings, folder: Path, rollouts: int, *, vllm: bool) -> GRPOConfig:
    """TRL's configuration. What is not named here has TRL's default; the tests say which of those we rely on."""
    import torch

    return GRPOConfig(
        output_dir=str(folder),
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=settings.max_grad_norm,
        beta=settings.kl,
        epsilon=settings.clip,
        entropy_coef=settings.entropy,
        loss_type="dapo",
        scale_rewards="group",
        use_bias_correction_kl=False,
        temperature=settings.temperature,
        num_generations=settings.generations,
        max_completion_length=settings.max_answer,
        per_device_train_batch_size=settings.micro_batch,
        gradient_accumulation_steps=settings.accumulation,
        steps_per_generation=settings.micro_batches,
        max_steps=rollouts * settings.updates,
        save_strategy="steps",
        save_steps=settings.checkpoint_every * settings.updates,
        save_total_limit=None,
        logging_steps=1,
        # A loss that is not finite has to be seen.
        logging_nan_inf_filter=False,
        report_to="none",
        seed=settings.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=precision(settings) == "bfloat16",
        gradient_checkpointing=settings.gradient_checkpointing,
        disable_tqdm=True,
        dataloader_num_workers=0,
        **(_of_vllm(settings) if vllm else {}),
    )


def _of_vllm(settings: GrpoSettings) -> dict[str, Any]:
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": settings.vllm_memory,
        "vllm_max_model_length": settings.max_prompt + settings.max_answer,
        "vllm_enable_sleep_mode": True,
    }


def updates(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records of a trainer's log that speak of an update."""
    return [record for record in log if "loss" in record]


class Batches(Sampler):  # type: ignore[misc]
    """The places that the trainer reads: a rollout's rows, each `generations` times, and all again for each of the
    rollout's micro-batches, as TRL's own sampler repeats them."""

    def __init__(self, plan: Plan, settings: GrpoSettings, rollouts: int) -> None:
        self._plan = plan
        self._settings = settings
        self._rollouts = rollouts

    def __len__(self) -> int:
        settings = self._settings
        return self._rollouts * settings.micro_batches * settings.prompts * settings.generations

    def __iter__(self) -> Iterator[int]:
        for number in range(self._rollouts):
            rows = self._plan.rollout(number)
            for _ in range(self._settings.micro_batches):
                for row in rows:
                    yield from (row for _ in range(self._settings.generations))


class ProGuardTrainer(GRPOTrainer):  # type: ignore[misc]
    """Batches as planned; checkpoints hold the adapter that trains and nothing of the base."""

    plan: Plan
    settings: GrpoSettings
    rollouts: int
    highest: float

    def _get_train_sampler(self, _dataset: Any = None) -> Batches:
        return Batches(self.plan, self.settings, self.rollouts)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        save_adapter(self.accelerator.unwrap_model(self.model), Path(output_dir or self.args.output_dir))

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: what a run is stands in its own page."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The trainer's own way reads only the reference adapter where there are two, and says nothing."""
        weights.apply(model if model is not None else self.model, Path(resume_from_checkpoint))


class Watching(TrainerCallback):  # type: ignore[misc]
    """Seals checkpoints, writes the page, stops a run that collapsed, and insists that weights change.

    untrained: fingerprint of the adapter before the first update. restored: that of the checkpoint gone on from.
    """

    def __init__(self, trainer: ProGuardTrainer, recorder: Recorder, keep: int) -> None:
        self._trainer = trainer
        self.recorder = recorder
        self._keep = keep
        self.untrained = weights.fingerprint(trainer.model)
        self.restored: str | None = None
        self.collapsed: str | None = None

    def go_on(self, checkpoint: Path, state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Take over a checkpoint's state, before training. Returns the trainer's log up to it."""
        self.restored = state[FINGERPRINT]
        self.untrained = state[UNTRAINED]
        self._trainer.plan.restore(state[PLAN])
        log: list[Mapping[str, Any]] = read_json(checkpoint / "trainer_state.json")["log_history"]
        return log

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Raises RunError where what was restored is not what was saved."""
        found = weights.fingerprint(self._trainer.model)
        if self.restored is not None and found != self.restored:
            raise RunError("the adapter after the restart is not the one of the checkpoint")

    def on_log(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """After each update."""
        history = updates(state.log_history)
        self.recorder.record(history)
        if self.collapsed is None and (reason := collapse(history, self._trainer.settings, self._trainer.highest)):
            self.collapsed = reason
            control.should_training_stop = True
        if (
            len(history) == self._trainer.settings.updates
            and weights.fingerprint(self._trainer.model) == self.untrained
        ):
            raise RunError(f"after {len(history)} updates the adapter is what it was: nothing trains")

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """A checkpoint was written."""
        folder = Path(args.output_dir)
        said = {
            FINGERPRINT: weights.fingerprint(self._trainer.model),
            UNTRAINED: self.untrained,
            PLAN: self._trainer.plan.state(),
        }
        checkpoints.seal(checkpoints.place(folder, state.global_step), said)
        checkpoints.prune(folder, self._keep)
