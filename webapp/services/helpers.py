"""Programs of the engine that do for the web process what it must not do itself: with a time limit, a few at once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from threading import BoundedSemaphore

from engine.settings import OIDC_SECRET, ROOT, SMTP_PASSWORD, Settings
from webapp.errors import Busy, HelperError
from webapp.services.daemon import PRIVATE

log = logging.getLogger(__name__)

SECRETS = (*PRIVATE, SMTP_PASSWORD, OIDC_SECRET)


class Helper:
    """`python -m` *module*, which *does* something: *most* of it at once, none for longer than *seconds*."""

    def __init__(self, module: str, does: str, seconds: float, most: int) -> None:
        self._module = module
        self._does = does
        self._seconds = seconds
        self._places = BoundedSemaphore(most)

    def run(
        self, settings: Settings, arguments: Sequence[str], given: str = "", environ: Mapping[str, str] = os.environ
    ) -> str:
        """What it writes when it is *given* this.

        Raises:
            Busy: as many as are allowed run already.
            HelperError: it took too long, or failed.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(f"{self._does} is being done for others just now; try again in a moment")
        try:
            return self._run(settings, arguments, given, environ)
        finally:
            self._places.release()

    def _run(self, settings: Settings, arguments: Sequence[str], given: str, environ: Mapping[str, str]) -> str:
        try:
            done = subprocess.run(
                [sys.executable, "-m", self._module, *arguments],
                input=given,
                capture_output=True,
                encoding="utf-8",
                cwd=ROOT,
                timeout=self._seconds,
                env=environment(settings, environ),
                check=False,
            )
        except subprocess.TimeoutExpired:
            log.warning("%s took longer than %g s and was ended", self._module, self._seconds)
            raise HelperError(
                f"{self._does} took longer than {self._seconds:g} s; try again when this machine has less to do"
            ) from None
        if done.returncode != 0:
            log.warning("%s ended with %d: %s", self._module, done.returncode, done.stderr[-2000:])
            raise HelperError(f"{self._does} failed; the server's log says why")
        return done.stdout


def environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What such a program may know: these settings, and no secret that it does not need."""
    inherited = {name: value for name, value in environ.items() if name not in SECRETS}
    return {**inherited, **settings.environment()}
