"""What a model needs besides its weights to encode, and to be served, as it was trained.

Everything that training, indexes, serving and cards have to agree on is decided here: the similarity, the dimensions
that count, prompts, pooling, the tokens that pad and end a text (`encoding`); how many texts are longer than a model
reads (`lengths`); how checkpoints of a *family* encode (`families`), and whether one does (`checks`); and the
*configuration* that this project publishes with a model (`config`).
"""

from lrat_hub.encoders.config import (
    CONFIG_FILE,
    ModelConfig,
    query_style_of,
    read_model_config,
    require_inner_product,
    require_query_style,
    write_model_config,
)
from lrat_hub.encoders.encoding import (
    Encoding,
    Similarity,
    as_master_weights,
    cut_to,
    dtype_name,
    encoding_of,
    served_prompts,
    set_token_limit,
    similarity_function,
    similarity_of,
    token_limit,
    weights_dtype,
)
from lrat_hub.encoders.families import (
    FAMILIES,
    SEARCH_TASK,
    Family,
    Pooling,
    find_family,
    set_prompts,
    wrap_checkpoint,
)
from lrat_hub.encoders.lengths import Cut, count_cut, count_cut_documents
from lrat_hub.encoders.loading import ensure_pad_token, load_encoder

__all__ = [
    "CONFIG_FILE",
    "FAMILIES",
    "SEARCH_TASK",
    "Cut",
    "Encoding",
    "Family",
    "ModelConfig",
    "Pooling",
    "Similarity",
    "as_master_weights",
    "count_cut",
    "count_cut_documents",
    "cut_to",
    "dtype_name",
    "encoding_of",
    "ensure_pad_token",
    "find_family",
    "load_encoder",
    "query_style_of",
    "read_model_config",
    "require_inner_product",
    "require_query_style",
    "served_prompts",
    "set_prompts",
    "set_token_limit",
    "similarity_function",
    "similarity_of",
    "token_limit",
    "weights_dtype",
    "wrap_checkpoint",
    "write_model_config",
]
