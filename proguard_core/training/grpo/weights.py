"""What is trained and what is not: the adapter alone, and proof that it changed. Needs torch."""

import hashlib
from pathlib import Path
from typing import Any

from proguard_core.guards.adapters import WEIGHTS_FILE
from proguard_core.training.grpo.files import RunError

ADAPTER = "default"
REFERENCE = "ref"


def trained(model: Any) -> dict[str, Any]:
    """Parameters that a gradient reaches, by name. Raises RunError unless they are the adapter's, and all of them."""
    found = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not found:
        raise RunError("no parameter would train: the adapter is frozen")
    if others := [name for name in found if f".{ADAPTER}." not in name]:
        raise RunError(f"{len(others)} parameters of the base would train, {others[0]} among them")
    own = [name for name, _ in model.named_parameters() if f".{ADAPTER}." in name]
    if frozen := [name for name in own if name not in found]:
        raise RunError(f"{len(frozen)} parameters of the adapter are frozen, {frozen[0]} among them")
    return found


def fingerprint(model: Any) -> str:
    """SHA-256 over what is trained, names and values."""
    hashed = hashlib.sha256()
    for name, weight in sorted(trained(model).items()):
        hashed.update(name.encode() + b"\0" + weight.detach().float().cpu().numpy().tobytes())
    return hashed.hexdigest()


def apply(model: Any, folder: Path) -> None:
    """Give the adapter the weights of a folder. Raises RunError unless every key of either is in both."""
    import torch
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        wanted = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise RunError(f"the adapter in {folder} cannot be read: {error}") from error
    own = get_peft_model_state_dict(model, adapter_name=ADAPTER)
    if set(own) != set(wanted):
        odd = sorted(set(own) ^ set(wanted))
        raise RunError(f"{len(odd)} keys of the adapter in {folder} and of the model differ, such as {odd[0]}")
    try:
        set_peft_model_state_dict(model, wanted, adapter_name=ADAPTER)
    except RuntimeError as error:  # another rank
        raise RunError(f"the adapter in {folder} does not fit: {error}") from error
    applied = get_peft_model_state_dict(model, adapter_name=ADAPTER)
    if missed := [key for key in wanted if not torch.equal(applied[key].cpu(), wanted[key].to(applied[key].dtype))]:
        raise RunError(f"{len(missed)} keys of the adapter in {folder} were not applied, {missed[0]} among them")
