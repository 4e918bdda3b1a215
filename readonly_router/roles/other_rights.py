"""What a twin may write though no privilege on a relation says so: as a role that it may become, in large objects.

SET ROLE keeps the settings that the session began with, but a session may switch its read-only default off. Large
objects PostgreSQL 14 and 15 let be written in a read-only transaction too.
https://www.postgresql.org/docs/current/role-membership.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from .spec import Power, Role

# What is inherited the privileges tell already, but for being superuser. A superuser is a member of all roles.
_ROLES = """SELECT quote_ident(r.rolname), quote_ident(t.rolname) FROM pg_roles t JOIN pg_roles r ON r.oid <> t.oid
    WHERE t.rolname = %(twin)s AND NOT t.rolsuper AND pg_has_role(t.oid, r.oid, 'MEMBER')
      AND (r.rolsuper OR NOT pg_has_role(t.oid, r.oid, 'USAGE')) ORDER BY 1"""
_LARGE_OBJECTS = """SELECT count(DISTINCT m.oid), min(m.oid::bigint),
    current_setting('lo_compat_privileges') = 'on'
    FROM pg_largeobject_metadata m, aclexplode(m.lomacl) a
    WHERE a.privilege_type = 'UPDATE' AND m.lomowner <> (SELECT oid FROM pg_roles WHERE rolname = %(twin)s)
      AND CASE a.grantee WHEN 0 THEN true ELSE pg_has_role(%(twin)s, a.grantee, 'USAGE') END"""


def other_rights(connection: psycopg.Connection[Any], wanted: Role) -> Iterator[Power]:
    """Yield the roles that the twin may act as, and what it may write in large objects of others."""
    for role, twin in connection.execute(_ROLES, {"twin": wanted.name}).fetchall():
        yield Power(
            says=f"it is a member of role {role}, so SET ROLE is open", statement=f"REVOKE {role} FROM {twin}"
        )
    count, first, compatible = connection.execute(_LARGE_OBJECTS, {"twin": wanted.name}).fetchone() or (
        0,
        0,
        False,
    )
    if count:
        yield Power(
            says=f"UPDATE on {count} large objects",
            statement=f"REVOKE UPDATE ON LARGE OBJECT {first} FROM PUBLIC -- and so on",
        )
    if compatible:
        yield Power(
            says="lo_compat_privileges is on, so it may write every large object",
            statement="ALTER SYSTEM RESET lo_compat_privileges -- and reload",
        )
