"""The errors this package raises, drawn as one tree."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db.utils import DatabaseError, OperationalError


def message(error: BaseException) -> str:
    """Return what an error says, without PostgreSQL's detail and hint, which may tell of data.

    https://www.psycopg.org/psycopg3/docs/api/errors.html#psycopg.errors.Diagnostic
    """
    diagnostic = getattr(error, "diag", None)
    said = diagnostic.message_primary if diagnostic is not None else None
    return " ".join((said or str(error).partition("\n")[0]).split())


class ReadOnlyRouterError(Exception):
    """Something about read-only mode needs your attention."""


class ConfigurationError(ReadOnlyRouterError, ImproperlyConfigured):
    """A setting or an environment variable does not hold what it may hold."""


class ModeError(ReadOnlyRouterError):
    """The mode cannot change here: a transaction is open, or the process is locked."""


class ProvisioningError(ReadOnlyRouterError):
    """The read-only role could not be provisioned; the message says what was left and what to do."""


class SwitchError(ReadOnlyRouterError):
    """The switch was not thrown, or not proved; the message says in which state it is and what to do."""


class DrainError(SwitchError):
    """Sessions held out until the deadline, so the switch was undone; `sessions` names each in one line."""

    sessions: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: str, *, sessions: tuple[str, ...]) -> DrainError:
        """Return the error with the sessions attached."""
        error = cls(message)
        error.sessions = sessions
        return error


class SessionTooLargeError(ReadOnlyRouterError):
    """A session holds more than a cookie can carry while the site is read-only."""


class TwinLoginError(ReadOnlyRouterError, OperationalError):
    """A twin gave no session, so that nothing can be read while its writer is read-only."""

    # As of a ReadOnlyError.
    alias: str = ""

    @classmethod
    def of(cls, message: str, *, alias: str) -> TwinLoginError:
        """Return the error with the twin's alias attached."""
        error = cls(message)
        error.alias = alias
        return error


class SessionEndedError(ReadOnlyRouterError, OperationalError):
    """The switch moved while a session was in use; it ended, or was left, and the message says what is gone."""

    # As of a ReadOnlyError.
    alias: str = ""

    @classmethod
    def of(cls, message: str, *, alias: str) -> SessionEndedError:
        """Return the error with the alias attached."""
        error = cls(message)
        error.alias = alias
        return error


class ReadOnlyError(ReadOnlyRouterError, DatabaseError):
    """PostgreSQL refused a write.

    `alias` is the connection that met the refusal, `sqlstate` PostgreSQL's code: `25006`
    (read_only_sql_transaction) or `42501` (insufficient_privilege). The psycopg error is the `__cause__`.
    Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
    """

    # Defaults, so that an error rebuilt from its args alone (pickle, copy) still has them.
    alias: str = ""
    sqlstate: str = ""

    @classmethod
    def of(cls, message: str, *, alias: str, sqlstate: str) -> ReadOnlyError:
        """Return the error with its facts attached; `args` stays the message alone, as Django expects."""
        error = cls(message)
        error.alias, error.sqlstate = alias, sqlstate
        return error
