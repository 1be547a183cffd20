"""The network: BGE-small's encoder under one linear layer that answers request, response and category."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from proguard_core.guards.embedded.text_model import FIRST_CATEGORY
from proguard_core.training.embedded.rows import CODES

WIDTH, LAYERS = 384, 12
BASE_ONNX = "bge-small-en-v1.5.onnx"
BASE_TOKENIZER = "bge-small-en-v1.5-tokenizer.json"
OUTPUTS = FIRST_CATEGORY + len(CODES)


def base_encoder(path: Path, layers: int = LAYERS) -> BertModel:
    """A BertModel with the weights of BGE-small's ONNX file, the lower `layers`. ValueError where one is missing."""
    graph = onnx.load(str(path)).graph
    weights = {item.name: torch.tensor(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    state = {name: weight for name, weight in weights.items() if name.startswith(("embeddings.", "encoder."))}
    for node in graph.node:
        name = node.name.strip("/").replace("/", ".")
        constants = [weights[item] for item in node.input if item in weights]
        if node.op_type == "MatMul" and constants:
            state[name.removesuffix(".MatMul") + ".weight"] = constants[0].T.contiguous()
    config = BertConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=12, intermediate_size=1536, vocab_size=30522
    )
    encoder = BertModel(config, add_pooling_layer=False)
    missing = [name for name in encoder.load_state_dict(state, strict=False).missing_keys if "position_ids" not in name]
    if missing:
        raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    encoder.encoder.layer = encoder.encoder.layer[:layers]
    return encoder


class GuardNetwork(nn.Module):  # type: ignore[misc]
    """rows x tokens -> rows x OUTPUTS logits: request, response, then one a code."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.Linear(2 * WIDTH, OUTPUTS)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """First token and mean of all tokens, side by side, through the heads."""
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        pooled = nn.functional.dropout(torch.cat([hidden[:, 0], mean], 1), 0.1, self.training)
        logits: Tensor = self.heads(pooled)
        return logits
