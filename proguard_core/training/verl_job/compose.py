"""verl's configuration as overrides of its `ppo_trainer`: keys of 0.9, which ignores some older ones in silence."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from proguard_core.training.grpo.files import RunRefused
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe

CONFIG = "ppo_trainer"
MODULE = "verl.trainer.main_ppo"
# Language layers only: verl's all-linear takes the vision tower too, which vLLM would ignore when it serves.
_NOT_TRAINED = ".*visual.*"


@dataclass(frozen=True, slots=True)
class Places:
    """On the cluster, seen from all nodes. folder: of the run: train.parquet, held_out.parquet, checkpoints.

    champion: the adapter to go on from.
    """

    folder: PurePosixPath
    base: PurePosixPath
    champion: PurePosixPath | None = None

    @property
    def checkpoints(self) -> PurePosixPath:
        """Where verl writes global_step_N and goes on from."""
        return self.folder / "checkpoints"


def overrides(recipe: VerlRecipe, cluster: Cluster, places: Places) -> list[str]:
    """KEY=VALUE, in a fixed order."""
    return [
        *(f"{key}={_text(value)}" for key, value in _values(recipe, cluster, places).items()),
        *(f"+{key}={_text(value)}" for key, value in _reward_arguments(cluster).items()),
    ]


def entrypoint(recipe: VerlRecipe, cluster: Cluster, places: Places) -> list[str]:
    """The command that Ray runs."""
    return [cluster.python, "-m", MODULE, *overrides(recipe, cluster, places)]


def submission_id(command: list[str], inputs: str) -> str:
    """The same for the same command on the same inputs (a digest), so that nothing is submitted twice."""
    return "proguard-" + hashlib.sha256(json.dumps([command, inputs]).encode()).hexdigest()[:24]


def _values(recipe: VerlRecipe, cluster: Cluster, places: Places) -> dict[str, object]:
    return {
        **_data(recipe, places),
        **_model(recipe, places),
        **_loss(recipe),
        **_rollout(recipe, cluster),
        **_trainer(recipe, cluster, places),
        "reward.custom_reward_function.path": cluster.reward_file,
        "reward.custom_reward_function.name": "compute_score",
    }


def _data(recipe: VerlRecipe, places: Places) -> dict[str, object]:
    return {
        "data.train_files": places.folder / "train.parquet",
        "data.val_files": places.folder / "held_out.parquet",
        # The file's order is the plan's: each batch is balanced as it stands.
        "data.shuffle": False,
        "data.seed": recipe.seed,
        "data.train_batch_size": recipe.prompts,
        "data.max_prompt_length": recipe.max_prompt,
        "data.max_response_length": recipe.max_answer,
        # Filtering would shift the batches; rows that are too long are left out when the file is written.
        "data.filter_overlong_prompts": False,
        "data.truncation": "error",
        "data.image_key": "images",
    }


def _model(recipe: VerlRecipe, places: Places) -> dict[str, object]:
    model = "actor_rollout_ref.model"
    own: dict[str, object] = {
        f"{model}.path": places.base,
        f"{model}.enable_gradient_checkpointing": recipe.gradient_checkpointing,
        f"{model}.lora_rank": recipe.lora_rank,
        f"{model}.lora_alpha": recipe.lora_alpha,
        f"{model}.target_modules": "all-linear",
        f"{model}.exclude_modules": _NOT_TRAINED,
    }
    return own if places.champion is None else {**own, f"{model}.lora_adapter_path": places.champion}


def _loss(recipe: VerlRecipe) -> dict[str, object]:
    actor = "actor_rollout_ref.actor"
    return {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": True,
        "algorithm.use_kl_in_reward": False,
        f"{actor}.strategy": "fsdp2",
        "actor_rollout_ref.ref.strategy": "fsdp2",
        f"{actor}.optim.lr": recipe.learning_rate,
        f"{actor}.optim.weight_decay": 0.0,
        f"{actor}.grad_clip": recipe.max_grad_norm,
        f"{actor}.ppo_mini_batch_size": recipe.prompts // recipe.updates,
        f"{actor}.ppo_micro_batch_size_per_gpu": recipe.micro_batch,
        f"{actor}.use_kl_loss": recipe.kl > 0,
        f"{actor}.kl_loss_coef": recipe.kl,
        f"{actor}.kl_loss_type": "low_var_kl",
        f"{actor}.clip_ratio": recipe.clip,
        f"{actor}.clip_ratio_low": recipe.clip,
        f"{actor}.clip_ratio_high": recipe.clip,
        f"{actor}.entropy_coeff": recipe.entropy,
        f"{actor}.loss_agg_mode": "token-mean",
        f"{actor}.checkpoint.save_contents": ["model", "optimizer", "extra"],
    }


def _rollout(recipe: VerlRecipe, cluster: Cluster) -> dict[str, object]:
    rollout = "actor_rollout_ref.rollout"
    return {
        f"{rollout}.name": "vllm",
        f"{rollout}.n": recipe.generations,
        f"{rollout}.temperature": recipe.temperature,
        f"{rollout}.tensor_model_parallel_size": cluster.tensor_parallel,
        f"{rollout}.gpu_memory_utilization": recipe.vllm_memory,
        f"{rollout}.load_format": "safetensors",
        f"{rollout}.log_prob_micro_batch_size_per_gpu": recipe.micro_batch,
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": recipe.micro_batch,
    }


def _trainer(recipe: VerlRecipe, cluster: Cluster, places: Places) -> dict[str, object]:
    return {
        "trainer.n_gpus_per_node": cluster.gpus,
        "trainer.nnodes": cluster.nodes,
        # The file holds as many rows as the run has rollouts for.
        "trainer.total_epochs": 1,
        "trainer.save_freq": recipe.checkpoint_every,
        "trainer.test_freq": -1,
        "trainer.val_before_train": False,
        "trainer.logger": ["console"],
        "trainer.resume_mode": "auto",
        "trainer.default_local_dir": places.checkpoints,
        "trainer.max_actor_ckpt_to_keep": recipe.keep_checkpoints,
        "trainer.project_name": "proguard",
        "trainer.experiment_name": places.folder.name,
    }


def _reward_arguments(cluster: Cluster) -> dict[str, object]:
    if cluster.policy_path is None:
        return {}
    return {"reward.custom_reward_function.reward_kwargs.policy_path": cluster.policy_path}


def _text(value: object) -> str:
    """A value in Hydra's grammar. Raises RunRefused for a text that it would read as something else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_text(each) for each in value) + "]"
    text = str(value)
    if set(text) & set(" \t\n'\"\\,=${}()[]#"):
        raise RunRefused(f"{text!r} has a sign that verl's command line reads as its own")
    return text
