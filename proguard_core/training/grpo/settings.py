"""Every constant of a training run, with the paper's values as defaults (arXiv 2512.23573 and its published script)."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proguard_core.guards.protocol import GuardLimits

Sampling = Literal["balanced", "adaptive", "image-scarce"]
"""How the prompts of a rollout are spread over text, text-image and image."""

Precision = Literal["auto", "bfloat16", "float32"]
"""Of the frozen base; the adapter and its optimizer are float32 always."""

Engine = Literal["auto", "vllm", "transformers"]
"""What writes the answers. auto: vLLM where there are a GPU and vLLM, else transformers."""


class CollapseSettings(BaseModel):
    """When a run has gone wrong for good. Windows are in rollouts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collapse_window: int = Field(16, ge=1, description="rollouts that a reward is averaged over")
    collapse_drop: float = Field(0.5, gt=0, lt=1, description="stop below this part of the best average before")
    collapse_flat: float = Field(0.98, gt=0, le=1, description="stop where groups without variance are this many")
    collapse_solved: float = Field(0.95, gt=0, description="but not above this part of the highest reward")


class GrpoSettings(CollapseSettings):
    """One rollout: `prompts` x `generations` answers, on which the adapter is updated `updates` times.

    The paper's batch of 256 prompts with mini-batches of 32 is 8 updates a rollout: with one, its clip never acts.
    """

    learning_rate: float = Field(1e-6, gt=0, description="constant; AdamW without weight decay")
    kl: float = Field(0.01, ge=0, description="weight of the divergence from the champion (low_var_kl)")
    clip: float = Field(0.1, gt=0, description="of the ratio of probabilities, both ways")
    entropy: float = Field(0.01, ge=0, description="weight of the entropy bonus")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to it")
    temperature: float = Field(1.0, gt=0, description="of the answers that are learned from")
    prompts: int = Field(256, ge=1, description="a rollout")
    generations: int = Field(16, ge=2, description="answers a prompt, compared with one another")
    updates: int = Field(8, ge=1, description="a rollout")
    micro_batch: int = Field(8, ge=1, description="answers that go through the model at once")
    max_prompt: int = Field(3072, ge=1, description="tokens; rows with longer ones are left out and counted")
    max_answer: int = Field(1024, ge=1, description="tokens")
    max_pixels: int = Field(GuardLimits().max_pixels, ge=3136, description="of a picture, as the guard that serves")
    epochs: float = Field(1.0, gt=0, description="passes over the rows")
    max_rollouts: int | None = Field(None, ge=1, description="end after these, whatever the epochs")
    lora_rank: int = Field(32, ge=1, description="vLLM serves up to guard.settings.max_adapter_rank")
    lora_alpha: int = Field(64, ge=1, description="of the adapter")
    sampling: Sampling = Field("balanced", description="of the modalities in each rollout")
    scarce_share: float = Field(0.05, ge=0, lt=1, description="of pictures, where sampling is image-scarce")
    least_share: float = Field(0.15, ge=0, le=1 / 3, description="of a modality, where sampling is adaptive")
    adaptive_memory: float = Field(0.8, ge=0, lt=1, description="of the averaged variances, a rollout")
    seed: int = Field(0, ge=0, description="of weights, batches and answers")
    precision: Precision = Field("auto", description="auto: bfloat16 where the GPU has it, else float32")
    gradient_checkpointing: bool = Field(True, description="less memory, a third more time")
    engine: Engine = Field("auto", description="that writes the answers")
    vllm_memory: float = Field(0.35, gt=0, lt=1, description="share of the GPU that vLLM may take")
    checkpoint_every: int = Field(1, ge=1, description="rollouts")
    keep_checkpoints: int = Field(2, ge=1, description="the newest ones")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        answers = self.prompts * self.generations
        if answers % (self.updates * self.micro_batch):
            raise ValueError(
                f"{self.prompts} prompts x {self.generations} generations do not split into {self.updates} updates of "
                f"micro-batches of {self.micro_batch}"
            )
        return self

    @property
    def accumulation(self) -> int:
        """Micro-batches of one update."""
        return self.prompts * self.generations // self.updates // self.micro_batch

    @property
    def micro_batches(self) -> int:
        """Of one rollout."""
        return self.accumulation * self.updates

    def rollouts(self, rows: int) -> int:
        """How many a run over these rows has, at least one."""
        wanted = max(1, round(self.epochs * rows / self.prompts))
        return wanted if self.max_rollouts is None else min(wanted, self.max_rollouts)
