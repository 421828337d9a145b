"""What is told of a sweep that has ended: one sentence, a JSON document, an e-mail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.confirmation import in_words
from engine.domain import SweepState

Document = dict[str, Any]


def sentence(sweep: Mapping[str, Any]) -> str:
    """ "amber-falcon has completed: best loss 0.0123"."""
    best = sweep.get("best") or {}
    came = f"best loss {best['loss']:.4g}" if best else "no trial has completed"
    if sweep["state"] == SweepState.FAILED:
        came = " ".join(str(sweep.get("error") or "no reason is known").split())[:200]
    words = {SweepState.COMPLETED: "has completed", SweepState.FAILED: "has failed", SweepState.STOPPED: "was stopped"}
    return f"{sweep['name']} {words[SweepState(sweep['state'])]}: {came}"


def document(sweep: Mapping[str, Any], notice_id: str, url: str) -> Document:
    """The JSON document of a webhook. One that is sent twice has the same `id`."""
    progress, started, finished = sweep.get("progress") or {}, sweep.get("started"), sweep.get("finished")
    best = sweep.get("best")
    told = {
        "id": notice_id,
        "event": f"sweep.{str(sweep['state']).lower()}",
        "text": sentence(sweep),
        "sweep": {
            "id": sweep["_id"],
            "name": sweep["name"],
            "owner": sweep["owner"],
            "state": sweep["state"],
            "error": sweep.get("error"),
            "ended_because": sweep.get("ended_because"),
            "created": sweep.get("created"),
            "started": started,
            "finished": finished,
            "seconds": (finished - started).total_seconds() if started and finished else None,
            "trials": {key: progress.get(key, 0) for key in ("done", "failed", "pruned", "total")},
            "best": {key: best.get(key) for key in ("number", "loss", "params")} if best else None,
            "confirmed": [_confirmed(one) for one in sweep.get("confirmed") or []],
        },
        "url": url,
    }
    return dict(_json(told))


def _confirmed(one: Mapping[str, Any]) -> Document:
    figures = {
        name: {"mean": figure["mean"], "std": figure["std"]}
        for name, figure in one["figures"].items()
        if "std" in figure
    }
    return {"trial": one["trial"], "seeds": one["seeds"], "figures": figures}


def email(sweep: Mapping[str, Any], url: str) -> tuple[str, str]:
    """Subject and text."""
    progress, best = sweep.get("progress") or {}, sweep.get("best")
    lines = [f"{sentence(sweep)}.", ""]
    if sweep.get("ended_because"):
        lines.append(f"It ended because {sweep['ended_because']}.")
    lines.append(
        f"{progress.get('done', 0):,} of {progress.get('total', 0):,} trials: {progress.get('failed', 0):,} failed, "
        f"{progress.get('pruned', 0):,} pruned."
    )
    if best:
        lines.append(f"Best: trial {best['number']}, loss {best['loss']:.6g}.")
    lines += [f"Trial {one['trial']} on the test part: {in_words(one)}." for one in (sweep.get("confirmed") or [])[:3]]
    lines += ["", url, ""]
    return f"NHOP: {sentence(sweep)}", "\n".join(lines)


def _json(value: Any) -> Any:
    """*value* as JSON has it: moments as ISO 8601, what is no finite number as null."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
