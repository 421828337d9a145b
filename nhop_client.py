"""NHOP from notebooks and programs: one file that needs nothing but Python 3.11 or newer; pandas only for DataFrames.

    >>> from nhop_client import Client
    >>> nhop = Client("http://127.0.0.1:5000", "nhop_…")
    >>> sweep = nhop.create({"hyperparam_opt": "TPE", "opt_stages": [[1000, 20]]})
    >>> sweep.wait(600).best
    Trial 17: COMPLETED, loss 0.00031
    >>> sweep.to_dataframe().nsmallest(5, "loss")

Address and token may also come from the environment: NHOP_URL and NHOP_TOKEN. docs/api.md tells of everything.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, BinaryIO

ENDED = ("COMPLETED", "FAILED", "STOPPED")
"""The states that a sweep never leaves."""
AWAY = (0, 503)
"""What an ApiError's status is when the server cannot be reached, or its database does not answer."""
JSON = "application/json"
TRIES = 5
"""Of a request that may be sent again while the server is away."""
PAUSE, LONGEST_PAUSE = 0.5, 5.0


class ApiError(Exception):
    """The server has refused a request.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        problems: what is wrong with what was sent, {field: what to do about it}.
    """

    def __init__(self, status: int, text: str, problems: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.problems = dict(problems or {})


class Client:
    """A server, and the token that it is shown.

    Args:
        url: of the dashboard; without it NHOP_URL of the environment.
        token: from the page Tokens; without it NHOP_TOKEN of the environment.
        timeout: seconds for which an answer is waited for.
    """

    def __init__(self, url: str | None = None, token: str | None = None, timeout: float = 30.0) -> None:
        self.url = (url or os.environ.get("NHOP_URL", "http://127.0.0.1:5000")).rstrip("/")
        self._token = token or os.environ.get("NHOP_TOKEN", "")
        self._timeout = timeout
        self._opener = urllib.request.build_opener(_NoRedirects)
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"{self.url} does not begin with http:// or https://")
        if not self._token:
            raise ValueError("give a token, or set NHOP_TOKEN; the page Tokens of the dashboard makes one")

    def create(self, config: Mapping[str, Any] | None = None, **keys: Any) -> Sweep:
        """Create a sweep from keys of its configuration, given as a dict, by name, or both. It is created once, even if
        the request has to be sent again."""
        values = {**(config or {}), **keys}
        return Sweep(self, self.request("POST", "/sweeps", body=values, key=str(uuid.uuid4())))

    def sweep(self, sweep_id: str) -> Sweep:
        """A sweep by its id, which stands in the address of its page."""
        return Sweep(self, self.request("GET", f"/sweeps/{_quoted(sweep_id)}"))

    def sweeps(self, state: str | None = None, owner: str | None = None) -> Iterator[Sweep]:
        """All sweeps, the newest first, or those in a *state* or of an *owner*."""
        for found in self.pages("/sweeps", state=state, owner=owner):
            yield Sweep(self, found)

    def runs(self, where: str = "", text: str = "", sort: str = "") -> Iterator[dict[str, Any]]:
        """The runs of the history, the newest first; filtered and sorted as on its page."""
        return self.pages("/runs", where=where, text=text, sort=sort)

    def run(self, run_id: int | str) -> dict[str, Any]:
        """A run of the history, with its configuration and `metrics`: {name: {total, steps, values}}."""
        path = f"/runs/{_quoted(run_id)}"
        metrics = self.request("GET", f"{path}/metrics")["items"]
        return {**self.request("GET", path), "metrics": {metric["name"]: metric for metric in metrics}}

    def datasets(self) -> list[dict[str, Any]]:
        """All data sets, those built in first, then by name."""
        return list(self.pages("/datasets"))

    def upload(self, path: str | Path, name: str | None = None) -> dict[str, Any]:
        """Upload a CSV table, or a ZIP file of texts, as a data set or a new version of one; `version.reference` of the
        answer is what a sweep calls it. *name*: that of the file if None."""
        path = Path(path)
        with path.open("rb") as file:
            kind = "application/zip" if path.suffix.lower() == ".zip" else "text/csv"
            address = f"/datasets/{_quoted(name or path.stem)}"
            return dict(self.request("PUT", address, file=(file, kind), query={"filename": path.name}))

    def models(self) -> list[dict[str, Any]]:
        """The uploaded Python files with models of one's own."""
        return list(self.pages("/models"))

    def machines(self) -> list[dict[str, Any]]:
        """The machines that run sweeps."""
        return list(self.pages("/machines"))

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The rows of a list, page after page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.request("GET", path, query={"limit": 200, **query, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        file: tuple[BinaryIO, str] | None = None,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Any:
        """What the server answers to a request below /api/v1: JSON, or the bytes of a file.

        Args:
            file: that is sent as it is, and its content type.
            key: under which the server does it once, however often it is sent.

        Raises:
            ApiError: the server has refused it, or cannot be reached.
        """
        asked = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        headers = {"Authorization": f"Bearer {self._token}", "Accept": JSON}
        headers |= {"Idempotency-Key": key} if key else {}
        data: bytes | BinaryIO | None = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), JSON
        elif file is not None:
            data, headers["Content-Type"] = file
            headers["Content-Length"] = str(os.fstat(data.fileno()).st_size)
        address = f"{self.url}/api/v1{path}" + (f"?{urllib.parse.urlencode(asked)}" if asked else "")
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 - looked at in __init__
        tries = TRIES if method == "GET" or key else 1
        while True:
            tries -= 1
            try:
                return self._answer(request)
            except ApiError as error:
                if not tries or error.status not in AWAY:
                    raise
            time.sleep(PAUSE)

    def _answer(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                content = answer.read()
                return json.loads(content) if answer.headers.get_content_type() == JSON else content
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, HTTPException) as error:
            raise ApiError(0, f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from None

    def __repr__(self) -> str:
        return f"Client({self.url!r})"


class Sweep:
    """A sweep, as it was when last asked for; `refresh` asks again.

    `data` is all that the server tells of it; docs/api.md has the fields.
    """

    def __init__(self, client: Client, data: Mapping[str, Any]) -> None:
        self._client = client
        self.data = dict(data)

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def name(self) -> str:
        return str(self.data["name"])

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, PAUSED, COMPLETED, FAILED or STOPPED."""
        return str(self.data["state"])

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration."""
        if "config" not in self.data:
            self.refresh()
        return dict(self.data["config"])

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{self._client.url}/sweeps/{self.id}"

    @property
    def best(self) -> Trial | None:
        """The best trial so far, with its learning curve; None: there is none yet."""
        best = self.data.get("best")
        return self.trial(best["number"]) if best else None

    def refresh(self) -> Sweep:
        """Ask for its state again."""
        self.data = self._client.request("GET", self._path())
        return self

    def wait(self, timeout: float | None = None) -> Sweep:
        """Wait for its end, at most *timeout* seconds; also while the server is away, for the sweep goes on.

        Raises:
            TimeoutError: it has not ended by then.
            ApiError: it has failed, or is there no more.
        """
        end, pause = None if timeout is None else time.monotonic() + timeout, PAUSE
        while not self._has_ended():
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"the sweep {self.name} has not ended within {timeout:g} s; it is {self.state}")
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
        if self.state == "FAILED":
            raise ApiError(0, f"the sweep {self.name} has failed: {self.data.get('error')}")
        return self

    def trials(self, **query: Any) -> Iterator[Trial]:
        """Its trials by number; or as asked for, such as `state="COMPLETED", sort="val_loss"`."""
        for found in self._client.pages(self._path("/trials"), **query):
            yield Trial(self, found)

    def trial(self, number: int) -> Trial:
        """A trial with its learning curve."""
        return Trial(self, self._client.request("GET", self._path(f"/trials/{number}")))

    def rows(self) -> list[dict[str, Any]]:
        """Its trials as flat rows: number, state, losses, seconds and so on, and each axis by its name."""
        return [trial.row() for trial in self.trials()]

    def to_dataframe(self) -> Any:
        """Its trials as a pandas DataFrame, a row each, by number."""
        try:
            import pandas
        except ImportError:
            raise ImportError("a DataFrame needs pandas: pip install pandas; rows() needs nothing") from None
        return pandas.DataFrame(self.rows()).set_index("number")

    def stop(self) -> Sweep:
        """Ask it to end; what it has found is kept."""
        return self._command("stop")

    def finish(self) -> Sweep:
        """Ask it to propose no more trials; those in training end, and the best are confirmed."""
        return self._command("finish")

    def pause(self) -> Sweep:
        """Hold its trials at their next report."""
        return self._command("pause")

    def resume(self) -> Sweep:
        """Let it go on."""
        return self._command("resume")

    def change(self, values: Mapping[str, Any] | None = None, **keys: Any) -> int:
        """Change what it searches while it waits or runs; returns the version of the new configuration."""
        return self._edit("config", {"values": {**(values or {}), **keys}})

    def add_points(self, *points: Mapping[str, Any]) -> int:
        """Have points tried next, each with a value for every axis; returns the version."""
        return self._edit("points", {"points": [dict(point) for point in points]})

    def retry(self, numbers: Sequence[int] = ()) -> int:
        """Have failed trials tried again, all where *numbers* is empty; returns the version."""
        return self._edit("retry", {"numbers": list(numbers)})

    def set_priority(self, priority: int) -> Sweep:
        """Set its place while it waits: the highest is taken first."""
        self.data = self._client.request("POST", self._path("/priority"), body={"priority": priority})
        return self

    def _has_ended(self) -> bool:
        """Whether it has, as far as the server answers."""
        try:
            return self.refresh().ended
        except ApiError as error:
            if error.status not in AWAY:
                raise
            return False

    def _command(self, name: str) -> Sweep:
        self.data = self._client.request("POST", self._path(f"/{name}"))
        return self

    def _edit(self, name: str, body: Mapping[str, Any]) -> int:
        return int(self._client.request("POST", self._path(f"/{name}"), body=body, key=str(uuid.uuid4()))["version"])

    def _path(self, below: str = "") -> str:
        return f"/sweeps/{_quoted(self.id)}{below}"

    def __repr__(self) -> str:
        progress = self.data.get("progress") or {}
        return (
            f"Sweep {self.id} {self.name!r}: {self.state}, {progress.get('done', 0)}/{progress.get('total', 0)} trials"
        )


class Trial:
    """A trial, as it was when asked for; `data` is all that the server tells of it."""

    def __init__(self, sweep: Sweep, data: Mapping[str, Any]) -> None:
        self.sweep = sweep
        self.data = dict(data)

    @property
    def number(self) -> int:
        return int(self.data["number"])

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, COMPLETED, PRUNED, FAILED, LOST or STOPPED."""
        return str(self.data["state"])

    @property
    def loss(self) -> float | None:
        """What ranks it: the validation loss, or the training loss where that is the objective."""
        return _number(self.data["loss"])

    @property
    def val_loss(self) -> float | None:
        return _number(self.data["val_loss"])

    @property
    def params(self) -> dict[str, Any]:
        """Its value of each axis."""
        return dict(self.data["params"])

    @property
    def curve(self) -> list[list[float | None]]:
        """Its learning curve: [step, training loss, validation loss]."""
        if "curve" not in self.data:
            self.data = self.sweep.trial(self.number).data
        return list(self.data["curve"])

    def row(self) -> dict[str, Any]:
        """It as one flat row."""
        about = ("number", "stage", "state", "loss", "val_loss", "train_loss", "steps", "step", "seconds", "worker")
        return {**{name: self.data[name] for name in about}, **self.params}

    def end(self) -> None:
        """End it early, if it is in training; it counts as pruned."""
        self._request("POST", "/end")

    def download_model(self, path: str | Path | None = None) -> Path:
        """Its model, as a ZIP file at *path*; returns where it is. In the working directory if None."""
        path = Path(path or f"{self.sweep.id}-trial-{self.number}.zip")
        path.write_bytes(self._request("GET", "/model"))
        return path

    def _request(self, method: str, below: str) -> Any:
        path = f"/sweeps/{_quoted(self.sweep.id)}/trials/{self.number}{below}"
        return self.sweep._client.request(method, path)

    def __repr__(self) -> str:
        return f"Trial {self.number}: {self.state}, loss {'none' if self.loss is None else f'{self.loss:.4g}'}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to no other address than the one that it was meant for."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _refusal(error: urllib.error.HTTPError) -> ApiError:
    """What the server says about a request that it refuses."""
    try:
        told = json.loads(error.read())
        problems = {problem["key"]: problem["message"] for problem in told.get("problems", [])}
        return ApiError(error.code, f"{told['title']}: {told['detail']}", problems)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, HTTPException):
        return ApiError(error.code, f"the server answered {error.code} {error.reason}, and nothing that can be read")


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _quoted(part: int | str) -> str:
    return urllib.parse.quote(str(part), safe="")
