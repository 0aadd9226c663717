"""From a name and a task to a model."""

from __future__ import annotations

import copy
from typing import Any

from tsfm_chronos.checkpoint import open_checkpoint
from tsfm_chronos.families.family import Family, check_facts
from tsfm_chronos.model import Chronos
from tsfm_chronos.network import build, load_weights
from tsfm_chronos.schema import DEFAULTS
from tsfm_core import Runtime, Task
from tsfm_torch import check_sizes, choose_device, merge_adapters, open_adapters, require_peft

__all__ = ["load"]


def load(family: Family, section: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Chronos:
    """Return the network of a checkpoint, or one with random weights.

    :raises CapabilityError: for what the checkpoint, the family or this machine cannot do.
    :raises ConfigError: for a checkpoint that is not there, or keys that do not go together.
    """
    device = choose_device(runtime.device)
    trains = runtime.strategy != "zero_shot"
    found = adapters = None
    if runtime.strategy == "lora":
        require_peft()
    if checkpoint is None:
        given = {key: value for key, value in section.model_dump().items() if value is not None}
        config = family.random_config(DEFAULTS[family.name] | given, task)
        family.check(config, section, task, f"a new {family.name}", trains)
        network = family.ready(build(family, config, runtime.seed), task)
    else:
        found = open_checkpoint(checkpoint, family.name)
        config = copy.deepcopy(dict(found.config))
        check_facts(family, config, checkpoint)
        sizes = {key: value for key, value in section.model_dump().items() if key in DEFAULTS[family.name]}
        changed = check_sizes(sizes, family.sizes(config), checkpoint, ("dropout_rate",) if trains else ())
        config |= {key: value for key, value in changed.items() if key == "dropout_rate"}
        if trains:
            family.lengthen(config, task)
        family.check(config, section, task, checkpoint, trains)
        network = family.ready(load_weights(family, config, found), task).to(device)
        if found.adapters and runtime.strategy == "lora":
            adapters = open_adapters(network, found.adapters, checkpoint)
        elif found.adapters:
            network = merge_adapters(network, found.adapters, checkpoint)
    if not trains:
        network.requires_grad_(False)  # attention may choose another kernel, with other last bits, where it is True
    size = runtime.batch_size or family.batch_size(task, section, config)
    return Chronos(family, network.to(device).eval(), task, section, device, size, runtime.seed, found, adapters)
