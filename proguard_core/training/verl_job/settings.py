"""What a job on a cluster needs beside the recipe."""

from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proguard_core.training.grpo.settings import GrpoSettings

REWARD_FILE = Path(__file__).parents[1] / "verl_reward.py"


class VerlRecipe(GrpoSettings):
    """The recipe of one machine; a checkpoint of a cluster is big, so there are fewer."""

    checkpoint_every: int = Field(20, ge=1, description="rollouts")

    @model_validator(mode="after")
    def _possible(self) -> "VerlRecipe":
        if self.prompts % self.updates:
            raise ValueError(f"{self.prompts} prompts do not split into {self.updates} mini-batches")
        if self.sampling == "adaptive":
            raise ValueError("adaptive sampling needs the rewards of each rollout; verl's batches are laid out before")
        return self


class Cluster(BaseModel):
    """Where it runs. Paths are the cluster's: the same on all of its nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field("http://127.0.0.1:8265", description="of the Ray dashboard, which takes jobs")
    nodes: int = Field(1, ge=1, description="machines")
    gpus: int = Field(8, ge=1, description="a machine")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that answer together")
    reward_file: PurePosixPath = Field(
        PurePosixPath(REWARD_FILE), description="verl_reward.py, where the package is installed on the cluster"
    )
    policy_path: PurePosixPath | None = Field(None, description="policy file there; ours without")
    python: str = Field("python", description="with verl, on the cluster")

    @model_validator(mode="after")
    def _fits(self) -> "Cluster":
        if (self.nodes * self.gpus) % self.tensor_parallel:
            raise ValueError(f"{self.nodes} x {self.gpus} GPUs do not split into groups of {self.tensor_parallel}")
        return self
