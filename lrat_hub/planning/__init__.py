"""What work needs before it begins: GPUs, memory and disk of each process, and the requests and tokens of models."""

from lrat_hub.planning.machine import Machine
from lrat_hub.planning.models import ModelSize, model_size
from lrat_hub.planning.plan import Phase, Plan, Process, require_fit

__all__ = ["Machine", "ModelSize", "Phase", "Plan", "Process", "model_size", "require_fit"]
