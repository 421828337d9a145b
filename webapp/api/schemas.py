"""What the API takes and gives, as models: their fields are checked, and told in the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, RootModel
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from engine.config import SweepConfig
from engine.domain import SweepState, TrialState
from webapp.services.steering import MOST_POINTS, MOST_PRIORITY

Json = dict[str, Any]

PAGE = 50
MOST = 200
"""Rows of a list that come at once."""

Loss = Annotated[float | None, Field(description="Null where it is not known, or is no finite number.")]


class Query(BaseModel):
    """What stands behind the question mark of an address."""

    model_config = ConfigDict(extra="forbid")


class Paged(Query):
    limit: int = Field(PAGE, ge=1, le=MOST, description="How many rows come at once, at most.")
    cursor: str = Field("", max_length=4000, description="The `next` of the rows before. Without it: the first rows.")


class SweepQuery(Paged):
    state: SweepState | None = Field(None, description="Only sweeps in this state.")
    owner: str = Field("", max_length=50, description="Only sweeps of this account.")


class TrialQuery(Paged):
    state: TrialState | None = Field(None, description="Only trials in this state.")
    stage: int | None = Field(None, ge=0, le=10**6, description="Only trials of this stage, counted from 0.")
    kind: Literal["search", "confirming"] | None = Field(None, description="Without those that confirm, or only those.")
    sort: str = Field("number", max_length=60, description="`number`, `val_loss`, `train_loss`, `seconds` or any axis.")
    down: bool = Field(False, description="The largest first.")
    text: str = Field("", max_length=200, description="Words to be found; `batch_size>300` compares an axis.")


class RunQuery(Paged):
    where: str = Field("", max_length=2000, description="A filter, as the history's page takes it.")
    text: str = Field("", max_length=200, description="Words to be found.")
    sort: str = Field("-started", max_length=200, description="A field; with - before it the largest first.")


class VersionQuery(Query):
    version: str = Field("", max_length=64, description="Digits that its sha256 begins with. Without it: the newest.")


class UploadQuery(Query):
    filename: str = Field("", max_length=200, description="What the file is called.")


class Body(BaseModel):
    """A JSON object that is sent."""

    model_config = ConfigDict(extra="forbid", strict=True)


NEW_SWEEP = {"name": "wide", "hyperparam_opt": "TPE", "hidden_layers": [1, 4], "opt_stages": [[1000, 20]]}


class NewSweep(RootModel[Json]):
    """The keys of a sweep's configuration that are not to have their defaults."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = SweepConfig.model_json_schema()
        for told in schema["properties"].values():
            unit = told.pop("unit")
            told["description"] += f" In {unit}." if unit else ""
            for ours in ("group", "live", "choices"):
                del told[ours]
        return {**schema, "title": cls.__name__, "description": cls.__doc__ or "", "examples": [NEW_SWEEP]}


class Change(Body):
    """Another search for a sweep that waits or runs."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"values": {"learning_rate": [0.001, 0.01]}, "version": 1}]}
    )

    values: Json = Field(description="The keys to change, with their new values.")
    version: int | None = Field(None, description="That of the configuration they were made for; null: whatever it is.")


POINT: JsonDict = {"batch_size": 200, "learning_rate": 0.001, "train_optimizer": "Adam", "activation": "relu"}
POINT |= {"layers": 1, "units_1": 16}


class Points(Body):
    """Points to be tried next."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"points": [POINT]}]})

    points: list[Json] = Field(min_length=1, max_length=MOST_POINTS, description="Each axis with its value.")


class Retry(Body):
    """Failed trials to be tried again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"numbers": [7, 12]}]})

    numbers: list[int] = Field([], max_length=10_000, description="Their numbers; none: all that have failed.")


class Priority(Body):
    """The place of a sweep that waits."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": 10}]})

    priority: int = Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY, description="The highest is taken first; 0 at first.")


class Progress(BaseModel):
    """How far a sweep is. Steps are those of all its trials."""

    model_config = ConfigDict(extra="allow")

    done: int = 0
    failed: int = 0
    total: int = 0
    steps_done: int = 0
    steps_total: int = 0
    stage: int = 0
    seconds_left: float | None = None


class Best(BaseModel):
    """The best trial so far."""

    model_config = ConfigDict(extra="allow")

    number: int
    stage: int | None = None
    loss: Loss = None
    params: Json = {}


class Sweep(BaseModel):
    """A sweep, as lists have it."""

    id: str
    name: str
    owner: str
    state: SweepState
    created: datetime | None
    started: datetime | None
    finished: datetime | None
    machine: str | None = Field(description="The machine that runs it, or ran it last.")
    run_id: int | str | None = Field(description="Its run in the history.")
    error: str | None
    ended_because: str | None = Field(description="Why the search ended before its last trial.")
    restarts: int
    progress: Progress | None
    best: Best | None
    confirmed: list[Json] = Field(description="The best configurations, trained again from other seeds, and measured.")
    baseline: Json | None = Field(description="What a linear regression reaches on the test part.")
    stop_requested: bool
    pause_requested: bool
    finish_requested: bool
    priority: int
    version: int = Field(description="Of its configuration.")
    applied: int = Field(description="The version that the engine has taken up.")


class SweepDetail(Sweep):
    """A sweep with its configuration."""

    config: Json
    stages: list[Json] = Field(description="Those that have begun: steps, trials, the space they search, their best.")


class Sweeps(BaseModel):
    """Sweeps, the newest first."""

    items: list[Sweep]
    next: str | None = Field(description="The cursor of the rows after these; null: there are none.")


class Version(BaseModel):
    """The version of a configuration that a change has made."""

    version: int


class Trial(BaseModel):
    """A trial, as lists have it. Losses are mean squared errors, or a classifier's cross-entropies."""

    number: int
    stage: int
    params: Json
    steps: int
    step: int
    state: TrialState
    attempt: int
    worker: str | None
    started: datetime | None
    finished: datetime | None
    seconds: float | None
    loss: Loss
    val_loss: Loss
    train_loss: Loss
    error: str | None
    figures: Json | None = Field(description="What else the model measured on the validation part.")
    test: Json | None = Field(description="What a trial that confirms another one measured on the test part.")
    confirms: int | None = Field(description="The trial that it trains again from another seed.")
    retries: int | None = Field(description="The failed trial that it repeats.")
    edit: int | None = Field(description="The version of the configuration that asked for it.")
    rungs: list[Any] | None = Field(description="[step, loss] where a pruner looked at it.")
    attempts: list[Json] | None = Field(description="The attempts before this one.")


class TrialDetail(Trial):
    """A trial with its learning curve."""

    curve: list[list[float | None]] = Field(description="[step, training loss, validation loss], at most 200 points.")


class Trials(BaseModel):
    """Trials, by number or as asked for."""

    items: list[Trial]
    next: str | None = Field(description="The cursor of the rows after these; null: there are none.")


class Run(BaseModel):
    """A run of the history, of any experiment."""

    id: str
    name: str
    state: str = Field(description="running, completed, failed, interrupted, dead, queued, or other.")
    experiment: str | None
    started: datetime | None
    active: datetime | None = Field(description="Its last sign of life.")
    host: str | None
    result: Any = Field(description="In a list of runs its text; of one run what was recorded.")


class RunDetail(Run):
    """A run with what was recorded of it."""

    sweep_id: str = Field(description="Empty: it is no sweep of this program.")
    config: Any
    info: Any


class Runs(BaseModel):
    """Runs, the newest first or as asked for."""

    items: list[Run]
    next: str | None = Field(description="The cursor of the rows after these; null: there are none.")


class Metric(BaseModel):
    """A metric of a run, thinned to about 1,500 points."""

    name: str
    total: int = Field(description="How many points were recorded.")
    steps: list[float]
    values: list[float | None]


class Metrics(BaseModel):
    """The metrics of a run."""

    items: list[Metric]


class Dataset(BaseModel):
    """A data set, by its newest version. Those that are built in have neither size nor author."""

    name: str
    kind: Literal["table", "texts"]
    built_in: bool
    count: int | None = Field(None, description="Rows of a table, files of texts.")
    width: int | None = Field(None, description="Features of a table, classes of texts.")
    size: int | None = Field(None, description="Bytes.")
    version: int | None = None
    by: str | None = None
    uploaded: datetime | None = None


class Datasets(BaseModel):
    """Data sets, those built in first, then by name."""

    items: list[Dataset]
    next: str | None = Field(description="The cursor of the rows after these; null: there are none.")


class DatasetVersion(BaseModel):
    """A version of a data set."""

    number: int
    reference: str = Field(description="What a sweep calls it, in the key `dataset`.")
    sha256: str
    size: int
    filename: str
    by: str
    uploaded: datetime


class DatasetDetail(BaseModel):
    """One version of an uploaded data set, and which others there are."""

    name: str
    kind: Literal["table", "texts"]
    owner: str
    version: DatasetVersion
    versions: list[DatasetVersion]
    about: Json = Field(description="Its columns or classes, and the first rows.")
    target: str
    features: list[str]


class ModelFile(BaseModel):
    """An uploaded Python file with models, by its newest version."""

    name: str
    reference: str
    versions: int
    size: int
    by: str
    uploaded: datetime
    classes: Json = Field(description="Its classes, each with its axes, or with what is wrong with it.")


class Models(BaseModel):
    """Uploaded files with models, by name."""

    items: list[ModelFile]
    next: str | None = Field(description="The cursor of the rows after these; null: there are none.")


class Machine(BaseModel):
    """A machine with a daemon."""

    name: str
    alive: bool
    slots: int | None = Field(description="Sweeps that it runs at once.")
    sweeps: int = Field(description="Sweeps that it runs now.")
    load: list[float] | None = Field(description="[processes that want to compute, processors].")
    seen: datetime | None = Field(description="When it was last heard of, if it is silent.")


class Machines(BaseModel):
    """Machines, by name."""

    items: list[Machine]
    next: str | None = Field(description="The cursor of the rows after these; null: there are none.")


class FieldProblem(BaseModel):
    """One thing to fix."""

    key: str = Field(description="The field; dotted for nested ones.")
    message: str


class Problem(BaseModel):
    """What every error is (RFC 9457)."""

    type: str
    status: int
    title: str
    detail: str
    problems: list[FieldProblem] = Field([], description="What is wrong with what was sent, each at its field.")
