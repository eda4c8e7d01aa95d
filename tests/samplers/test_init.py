from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from graphcond.samplers import SAMPLERS, SamplerConfig, SemanticPPRSamplerConfig


def test_a_recipe_chooses_a_sampler_by_kind() -> None:
    config = TypeAdapter(SamplerConfig).validate_python(
        {"kind": "semantic_ppr", "alpha": 0.15, "candidates": 50, "neighbors": 5}
    )
    assert config == SemanticPPRSamplerConfig()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValidationError, match="semantic_ppr"):
        TypeAdapter(SamplerConfig).validate_python({"kind": "pagerank"})


@pytest.mark.parametrize("config", SAMPLERS.values(), ids=SAMPLERS)
def test_every_choice_is_explained(config: type) -> None:
    fields = config.model_fields.items()
    assert [name for name, field in fields if name != "kind" and not field.description] == []


def test_importing_the_samplers_loads_neither_torch_nor_numba() -> None:
    code = "import sys, graphcond.samplers; print({'torch', 'numba'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
