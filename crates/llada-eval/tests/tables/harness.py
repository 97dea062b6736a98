"""lm-evaluation-harness's own tasks over given records, without a network."""

import copy
import importlib.metadata
import logging
import sys
import types
from pathlib import Path

import datasets
import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

logging.disable(logging.CRITICAL)
datasets.disable_progress_bars()
VERSION = importlib.metadata.version("lm_eval")
FILES = {
    "arc_challenge": "arc/arc_challenge.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "piqa": "piqa/piqa.yaml",
    "mmlu": "mmlu/default/mmlu_world_religions.yaml",
    "winogrande": "winogrande/default.yaml",
    "truthfulqa_mc2": "truthfulqa/truthfulqa_mc2.yaml",
    "gsm8k": "gsm8k/gsm8k.yaml",
    "math": "minerva_math/minerva_math_algebra.yaml",
    "humaneval": "humaneval/humaneval.yaml",
    "mbpp": "mbpp/mbpp.yaml",
    "mbpp_instruct": "mbpp/mbpp_instruct.yaml",
    "humaneval_instruct": "humaneval/humaneval_instruct.yaml",
}
# What would execute code, and what needs packages that the compared rules do not.
sys.modules["evaluate"] = types.SimpleNamespace(load=lambda name: types.SimpleNamespace(compute=lambda **_: [{"pass@1": 0.0}]))
sys.modules["sacrebleu"] = types.ModuleType("sacrebleu")
rouge = types.ModuleType("rouge_score")
rouge.rouge_scorer = rouge.scoring = types.SimpleNamespace(RougeScorer=lambda *_: None)
sys.modules["rouge_score"] = rouge


def task(name, record, shots=()):
    """The harness's task `name` over one record, whose examples are `shots`."""
    config = load_yaml(Path(lm_eval.__file__).parent / "tasks" / FILES[name], resolve_func=True)
    config = copy.copy(config)
    for key in ("tag", "task_alias", "group", "dataset_path", "dataset_name"):
        config.pop(key, None)
    data = {"test": datasets.Dataset.from_list([record])}
    config.update(
        dataset_path="none",
        custom_dataset=lambda **_: data,
        training_split=None,
        validation_split=None,
        test_split="test",
        num_fewshot=len(shots),
    )
    config.pop("fewshot_split", None)
    if shots:
        data["shots"] = datasets.Dataset.from_list(list(shots))
        config["fewshot_split"] = "shots"
        config["fewshot_config"] = {"sampler": "first_n", "split": "shots"}
    else:
        config.pop("fewshot_config", None)
    made = ConfigurableTask(config=config)
    return made, next(iter(made.test_docs()))
