"""Sending e-mail through the server that the settings name."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from engine.errors import NoticeError, NoticeRefused
from engine.settings import Settings

SECONDS = 20.0
"""For each step of the conversation."""


def send(settings: Settings, to: Sequence[str], subject: str, text: str) -> None:
    """Send one message to all of *to*.

    Raises:
        NoticeRefused: none is sent from here, or the server refuses it for good.
        NoticeError: the server does not answer, or says to come back.
    """
    if not settings.smtp_host:
        raise NoticeRefused(f"no mail server is set on {settings.machine_name}: smtp_host")
    message = EmailMessage()
    message["From"], message["To"] = settings.smtp_from, ", ".join(to)
    message["Subject"] = " ".join(subject.split())
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=settings.smtp_from.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # so that no holiday answer comes back (RFC 3834)
    message.set_content(text)
    try:
        with _server(settings) as server:
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password)
            refused = server.send_message(message)
    except ssl.SSLCertVerificationError:
        raise NoticeRefused("the certificate of the mail server is not valid for it") from None
    except smtplib.SMTPNotSupportedError:
        raise NoticeRefused("the mail server does not offer what is set: see smtp_security and smtp_user") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise _failure(min(code for code, _ in error.recipients.values()), "the recipients") from None
    except smtplib.SMTPResponseException as error:
        raise _failure(error.smtp_code, "the message") from None
    except (OSError, smtplib.SMTPException):
        raise NoticeError("the mail server does not answer") from None
    if refused:
        raise NoticeRefused(f"the mail server has taken it for {len(to) - len(refused)} of {len(to)} recipients")


def _server(settings: Settings) -> smtplib.SMTP:
    """The server, with which the talk has begun, encrypted as the settings say."""
    if settings.smtp_security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=SECONDS)
    if settings.smtp_security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _failure(code: int, what: str) -> NoticeError:
    """Codes from 500 on are for good (RFC 5321, 4.2.1)."""
    text = f"the mail server refused {what} ({code})"
    return NoticeRefused(text) if code >= 500 else NoticeError(text)
