"""The sections of a recipe that are not components: data, features, guidance, training, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from graphcond.attributed_graph import Column
from graphcond.config import ComponentConfig, Config, Names
from graphcond.recipe.optimizer import OptimizerConfig
from graphcond.recipe.overrides import leaves
from graphcond.recipe.pictures import BucketConfig, LossWeightConfig, PriorConfig

Compile: TypeAlias = Literal[False, True, "default", "max-autotune-no-cudagraphs"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Tracker = Literal[
    "aim", "clearml", "comet_ml", "dvclive", "mlflow", "swanlab", "tensorboard", "trackio", "wandb"
]
"""The trackers of accelerate."""


DEFAULT_GRAPH_SCALE = 1.5
"""s_G in the InstructG2I paper."""

AUTO = "auto"
"""The protocol that suits the data."""


def _no_is_a_word(value: object) -> object:
    """YAML reads a bare ``no`` as false."""
    return "no" if value is False else value


class DataFields(ComponentConfig):
    """Config of data, with the facts that the rest of a recipe needs."""

    buckets: BucketConfig | None = None
    """Sizes for pictures of several proportions; without, they are padded to squares."""

    @property
    def has_scenes(self) -> bool:
        """True if the data are scene graphs, not an attributed graph."""
        return False

    @property
    def place(self) -> Path | None:
        """Path of the data; None if they are drawn, or if the path is left open."""
        return None

    @property
    def left_open(self) -> bool:
        """True if the user must still give the path."""
        return False

    @property
    def default_prompt(self) -> str:
        """The prompt of a picture that has none of its own."""
        return "an image"


class FolderData(DataFields):
    """Data at a path."""

    path: Path | None = None
    """Folder of the graph. A recipe may leave it open for `--set data.path=...`."""

    @property
    def place(self) -> Path | None:
        """As the setting says."""
        return self.path

    @property
    def left_open(self) -> bool:
        """True if the path is missing."""
        return self.path is None


class MmagData(FolderData):
    """A multimodal attributed graph: a graph folder, or any source that `graphcond data build` reads."""

    kind: Literal["mmag"] = "mmag"
    resolution: PositiveInt = 256
    """Side of the pictures in pixels; others are padded to a square and scaled."""
    train_splits: Names = Field(default=("train",), min_length=1)
    """Splits whose nodes are training targets; a graph without splits is used whole."""
    forbidden_splits: Names = ("test",)
    """Splits whose nodes may never be neighbors in training."""
    hold_out: Share | None = None
    """The share of the nodes of a graph without splits that becomes the split `test`."""
    skip_bad_rows: bool = False
    """Leave broken rows of the files out and count them, in place of an error."""


class SceneData(FolderData):
    """Scene graphs with their pictures, in any format that `graphcond.scenes` reads."""

    kind: Literal["scenes"] = "scenes"
    path: Path | None = None
    """A file or a folder of scene graphs. A recipe may leave it open for `--set data.path=...`."""
    format: str | None = None
    """Name of the format; detected from the files unless given."""
    pictures: Path | None = None
    """Folder of the pictures; beside the graphs unless given."""
    prompt: str = "an image"
    """The prompt of every scene that has no prompt, so that the graph alone determines the content."""
    prompt_from: Literal["fixed", "caption"] = "fixed"
    """`caption`: a scene's own caption is its prompt, where the source has one."""
    resolution: PositiveInt = 256
    """Side of the pictures in pixels; others are padded to a square and scaled."""
    train_splits: Names = Field(default=("train",), min_length=1)
    """Splits whose scenes are trained on; a source without splits is used whole."""
    forbidden_splits: Names = ("test",)
    """Splits that are never trained on; validation uses them, and says so, if there is no split `val`."""
    hold_out: Share | None = None
    """The share of scenes without splits that becomes the split `test`."""
    skip_bad_rows: bool = False
    """Leave broken scenes out and count them, in place of an error."""
    seed: Seed = 0
    """Decides what a format leaves open (relations made from boxes, say)."""

    @property
    def has_scenes(self) -> bool:
        """Always."""
        return True

    @property
    def default_prompt(self) -> str:
        """As the setting says."""
        return self.prompt


class WorldData(DataFields):
    """A world of the package, drawn when it is first needed."""

    kind: Literal["world"] = "world"
    world: Literal["art", "scenes", "emoji"] = "art"
    """The world: paintings by artists, scenes of coloured shapes, or emoji by studios."""
    paintings_per_artist: PositiveInt = 100
    """Size of the art world."""
    noise: Fraction = 0.5
    """Share of the edges that mislead, in the art world and among emoji."""
    scenes: PositiveInt = 4_000
    """Size of the scene world."""
    validation_scenes: NonNegativeInt | None = None
    """Further scenes, on which training validates: a twentieth of `scenes`, at least 8, unless given."""
    difficulty: Literal["plain", "hard"] = "plain"
    """Of the scene world: `hard` has 6 to 12 objects, nesting two deep, twins, chains and contradictions."""
    seed: Seed = 0
    """The world's seed."""
    resolution: PositiveInt = 64
    """Side of the pictures in pixels."""
    train_splits: Names = Field(default=("train",), min_length=1)
    """Splits that are trained on."""
    forbidden_splits: Names = ("test",)
    """Splits that are never trained on and never neighbors in training."""

    @model_validator(mode="after")
    def _scenes_are_hard(self) -> WorldData:
        if self.difficulty != "plain" and not self.has_scenes:
            raise ValueError(f"difficulty: the world '{self.world}' has none; leave it out, or name scenes")
        return self

    @property
    def has_scenes(self) -> bool:
        """As the setting `world` says."""
        return self.world == "scenes"

    @property
    def validation(self) -> int:
        """Number of scenes for validation, beside `scenes`."""
        return max(self.scenes // 20, 8) if self.validation_scenes is None else self.validation_scenes


AnyData: TypeAlias = MmagData | SceneData | WorldData

DataConfig = Annotated[AnyData, Field(discriminator="kind")]
"""The pydantic type of a recipe's data."""


class FeatureFields(ComponentConfig):
    """Config of features, with the facts that the rest of a recipe needs."""

    columns: ClassVar[frozenset[Column]] = frozenset()
    """The embeddings of nodes that the features give."""
    on_tiny: ClassVar[str] = "tiny"
    """The kind that a base in the package uses instead; `tiny` stands for the CLIP of that base."""

    @property
    def network(self) -> str:
        """The network that embeds, as the user would name it."""
        return self.kind


class ModelFeatures(FeatureFields):
    """Features by a network that the user chooses."""

    model: str
    """A folder, or a model id on the Hugging Face hub."""

    @property
    def network(self) -> str:
        """As the setting says."""
        return self.model


class ClipFeatures(ModelFeatures):
    """Embeddings of pictures and texts by a CLIP model."""

    columns = frozenset({"pictures", "texts"})
    kind: Literal["clip"] = "clip"
    model: str = "openai/clip-vit-large-patch14"
    """A folder, or a model id on the Hugging Face hub."""


class ClipVisionFeatures(ModelFeatures):
    """Embeddings of pictures by the picture half of a CLIP; texts have none."""

    columns = frozenset({"pictures"})
    kind: Literal["clip_vision"] = "clip_vision"
    model: str
    """A folder, or a model id on the Hugging Face hub: a `CLIPVisionModelWithProjection`, or a whole CLIP."""


class TinyFeatures(FeatureFields):
    """Embeddings by a small CLIP inside the package."""

    columns = frozenset({"pictures", "texts"})
    kind: Literal["tiny"] = "tiny"
    model: Literal["clip", "structure_clip"] = "clip"
    """`structure_clip` tells who is where: it was trained on with swapped captions of scenes."""


class TextFeatures(ModelFeatures):
    """Embeddings of the words of scene graphs by a text model."""

    on_tiny = "tiny_bert"
    kind: Literal["text"] = "text"
    model: str = "bert-base-uncased"
    """A folder, or a model id on the Hugging Face hub: any text model of transformers."""


class TinyBertFeatures(FeatureFields):
    """Embeddings of the words of scene graphs by the small BERT inside the package."""

    on_tiny = "tiny_bert"
    kind: Literal["tiny_bert"] = "tiny_bert"


class FileFeatures(FeatureFields):
    """Embeddings from a file with one row per node, in the order of the node table."""

    columns = frozenset({"extra"})
    kind: Literal["file"] = "file"
    path: Path
    """A `.npy`, `.safetensors` or `.pt` file of shape (nodes, width)."""


AnyFeatures: TypeAlias = (
    ClipFeatures | ClipVisionFeatures | TinyFeatures | TextFeatures | TinyBertFeatures | FileFeatures
)

FeaturesConfig = Annotated[AnyFeatures, Field(discriminator="kind")]
"""The pydantic type of a recipe's features."""


class GuidanceConfig(Config):
    """Guidance scales of text and graphs; see `graphcond.guidance.GraphGuidance`."""

    text: float = 7.5
    """s_T, scale of the text."""
    graph: dict[str, float] = Field(default_factory=dict)
    """s_G of each condition, by its name; `DEFAULT_GRAPH_SCALE` unless given."""
    mode: Literal["separate", "joint"] = "separate"
    """`joint`: one scale for text and graph together, as in the release's plain pipeline."""
    rescale: Fraction = 0.0
    """Pull the spread of the guided prediction back to that of the conditional one (arXiv 2305.08891)."""
    start: Fraction = 0.0
    """Graph guidance starts at this fraction of the steps ..."""
    end: Fraction = 1.0
    """... and ends at this one."""
    text_start: Fraction = 0.0
    """s_T acts from this fraction of the steps; elsewhere it is 1, which needs one prediction less ..."""
    text_end: Fraction = 1.0
    """... up to this one."""
    reuse: PositiveInt = 1
    """Steps from one measurement of the differences between predictions with and without text or graph to the
    next; in the steps between, one prediction is made, and the differences are used again."""
    skip_below: Fraction = 0.0
    """A branch is left out from the step on in which its difference falls below this share of its largest
    one, picture by picture; 0 leaves none out."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_base(cls, given: Any) -> Any:
        if isinstance(given, dict) and "embedded" in given:
            raise ValueError("embedded: it is an input of the base's denoiser; set base.embedded_guidance")
        return given

    def graph_scale(self, condition: str) -> float:
        """s_G of a condition."""
        return self.graph.get(condition, DEFAULT_GRAPH_SCALE)


class DropConfig(Config):
    """Probabilities of dropping the text or the graph in training, which guidance requires."""

    text: Probability = 0.05
    """Only the text is dropped."""
    graph: Probability = 0.05
    """Only the graph is dropped."""
    both: Probability = 0.05
    """Both are dropped."""

    @model_validator(mode="after")
    def _leave_something(self) -> DropConfig:
        if self.text + self.graph + self.both >= 1:
            raise ValueError("text + graph + both must stay below 1, or nothing is ever trained")
        return self


class TrainingConfig(Config):
    """Settings of the trainer. Steps are optimizer steps."""

    steps: PositiveInt = 20_000
    """Optimizer steps."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Samples per device and forward pass."""
    accumulate: PositiveInt = 1
    """Forward passes per optimizer step."""
    learning_rate: PositiveFloat = 1e-5
    """Of every group that `learning_rates` does not name."""
    learning_rates: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Learning rate by group: a condition's name, `lora`, or `base` with `train_base`. Some injectors have
    groups of their own: `scene.gates`, and `scene.new` for the encoder and for layers that are not copies."""
    train_base: bool = False
    """Train the whole denoiser beside the conditions, as the InstructG2I release does. It is then saved with
    the model. Pictures unlike those that the base draws need it, or a `lora`."""
    optimizer: OptimizerConfig = OptimizerConfig()
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """AdamW's decay of its moments."""
    epsilon: PositiveFloat = 1e-8
    """AdamW's guard against division by zero."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay of matrices; gates, norms, biases and other vectors do not decay."""
    warmup: NonNegativeInt = 0
    """Steps in which the learning rate rises to its full value."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """Course of the learning rate after the warm-up."""
    max_gradient_norm: PositiveFloat = 1.0
    """Gradients of all groups together are clipped to this norm."""
    drop: DropConfig = DropConfig()
    min_snr_gamma: PositiveFloat | None = None
    """Weigh the loss by min(SNR, gamma) (arXiv 2303.09556); off unless given."""
    loss_weight: LossWeightConfig | None = None
    """Weigh the places of a picture by the boxes of its scene or by a mask; all alike unless given."""
    prior: PriorConfig | None = None
    """Pictures without a graph among the samples, so that an adapted base keeps drawing them."""
    timesteps: Literal["auto", "uniform", "high_noise", "logit_normal"] = "auto"
    """`auto` draws t as the base was trained: uniformly for diffusion, logit-normal for flow matching.
    `high_noise` draws t as the square root of a uniform number: style is decided early."""
    flip: bool | None = None
    """Mirror half of the pictures. Unless given, those of attributed graphs are, and those of scene graphs
    are not: a mirrored picture breaks "left of"."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an average of the trained weights, which is then the saved model; off unless given."""
    mixed_precision: Annotated[Literal["no", "fp16", "bf16"], BeforeValidator(_no_is_a_word)] = "no"
    """Number format of the trained modules' computation."""
    compile: Compile = False
    """Run the denoiser as torch compiles it, by this mode of torch. The first steps then take minutes; those
    after them are faster. Validation and previews stay as they are."""
    seed: Seed = 0
    """Decides initial weights, order, noise and drops."""
    log_every: PositiveInt = 10
    """Steps between lines of metrics.jsonl."""
    validate_every: PositiveInt | None = 1_000
    """Steps between validation losses (and at the end)."""
    validation_samples: PositiveInt = 64
    """Held-out samples in the validation loss."""
    preview_every: PositiveInt | None = 1_000
    """Steps between preview pictures (and at step 0 and the end)."""
    previews: PositiveInt = 4
    """Targets in a preview."""
    preview_steps: int = Field(default=30, ge=1, le=1_000)
    """Denoising steps of a preview."""
    checkpoint_every: PositiveInt | None = 1_000
    """Steps between checkpoints; the last step always has one."""
    keep_checkpoints: PositiveInt = 2
    """Older checkpoints are removed."""
    trackers: tuple[Tracker, ...] = ()
    """Also send figures, previews, warnings and settings there, by accelerate's names; `tensorboard` writes
    into the run folder. Each needs its own package."""

    @model_validator(mode="after")
    def _suits_its_optimizer(self) -> TrainingConfig:
        if self.ema is not None and self.optimizer.kind == "schedule_free":
            raise ValueError("ema: the optimizer schedule_free averages the weights itself; leave ema out")
        if self.optimizer.kind == "prodigy" and set(self.learning_rates.values()) - {self.learning_rate}:
            raise ValueError("learning_rates: the optimizer prodigy has one rate for all; leave them out")
        return self

    @field_validator("learning_rates", mode="before")
    @classmethod
    def _read_nested_groups(cls, values: Any) -> Any:
        """``--set training.learning_rates.scene.gates=...`` makes a section of ``scene``."""
        return dict(leaves(values)) if isinstance(values, dict) and values else values

    @model_validator(mode="before")
    @classmethod
    def _read_the_old_name(cls, values: Any) -> Any:
        """``tensorboard: true`` is from before there were others."""
        if not isinstance(values, dict) or not isinstance(values.get("tensorboard"), bool):
            return values
        others = {key: value for key, value in values.items() if key != "tensorboard"}
        trackers = others.get("trackers", ())
        if values["tensorboard"] and isinstance(trackers, list | tuple) and "tensorboard" not in trackers:
            others["trackers"] = [*trackers, "tensorboard"]
        return others


class EvaluationConfig(Config):
    """The default evaluation of a model of this recipe."""

    protocol: str = AUTO
    """Name of a protocol of `graphcond.evaluation`. `auto` is that of a world for its data, else `own`."""


def check_buckets(data: AnyData, multiple: int | None) -> None:
    """Check that a base draws pictures of all sizes of the buckets.

    Args:
        data: of the recipe.
        multiple: what heights and widths are multiples of, in pixels; None where it is not known.

    Raises:
        ValueError: it does not, or a resolution is not a multiple of the step.
    """
    if data.buckets is None:
        return
    data.buckets.sizes(data.resolution)
    if multiple is not None and data.buckets.step % multiple:
        raise ValueError(
            f"data.buckets.step: sizes for this base are multiples of {multiple}, which {data.buckets.step} "
            f"is not; use one"
        )


def mirrors(data: AnyData, training: TrainingConfig) -> bool:
    """True if half of the pictures are mirrored in training."""
    return not data.has_scenes if training.flip is None else training.flip


def check_flip(data: AnyData, training: TrainingConfig) -> None:
    """Check that no picture of a scene is mirrored.

    Raises:
        ValueError: they would be.
    """
    if training.flip and data.has_scenes:
        raise ValueError(
            'training.flip: a mirrored picture breaks the relations of its scene ("left of"); set it to false'
        )
