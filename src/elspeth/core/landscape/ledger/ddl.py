"""The schema of the whole landscape as text: what leaf 0 of every tree stands for.

Everything that can change what a reader sees or what a writer writes: our tables, and all views,
indexes on our tables, triggers and rules, whoever made them. Plain tables that are not ours are left out,
with their indexes: a database sink may write beside the landscape.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from elspeth.core.landscape.tables import metadata

_SQLITE = """SELECT type || ' ' || name, tbl_name || ': ' || coalesce(sql, '') FROM sqlite_master
    WHERE type IN ('view', 'trigger') OR lower(tbl_name) IN ({own}) OR lower(name) IN ({own})"""

# Every line: a name, and a definition. The names of columns and types come from the catalog, so that
# the text does not depend on how a statement was written.
_POSTGRES = """
    SELECT 'table ' || c.relname,
           string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
               || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
               || coalesce(nullif(' identity ' || a.attidentity::text, ' identity '), ''),
               ', ' ORDER BY a.attnum)
               || CASE WHEN c.relrowsecurity THEN ' row security' ELSE '' END
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
        AND c.relname IN ({own})
    GROUP BY c.relname, c.relrowsecurity
    UNION ALL SELECT 'constraint ' || c.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname IN ({own}) AND k.contype <> 'n'
    UNION ALL SELECT 'index ' || i.indexname, i.indexdef FROM pg_indexes i
    WHERE i.schemaname = current_schema() AND i.tablename IN ({own})
    UNION ALL SELECT 'view ' || v.viewname, v.definition FROM pg_views v WHERE v.schemaname = current_schema()
    UNION ALL SELECT 'view ' || v.matviewname, v.definition FROM pg_matviews v
    WHERE v.schemaname = current_schema()
    UNION ALL SELECT 'trigger ' || c.relname || '.' || t.tgname,
        pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text || ' ' || pg_get_functiondef(t.tgfoid)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal
    UNION ALL SELECT 'rule ' || c.relname || '.' || r.rulename, pg_get_ruledef(r.oid)
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE c.relnamespace = current_schema()::regnamespace AND r.rulename <> '_RETURN'
    UNION ALL SELECT 'policy ' || p.tablename || '.' || p.policyname,
        concat_ws(' ', p.permissive, p.roles::text, p.cmd, p.qual, p.with_check)
    FROM pg_policies p WHERE p.schemaname = current_schema() AND p.tablename IN ({own})"""


def read_ddl(connection: Connection) -> str:
    """The schema as JSON: name → definition, sorted; and the version that the database says it has."""
    own = ", ".join(f"'{name}'" for name in [*metadata.tables, "alembic_version"])
    sql = (_SQLITE if connection.dialect.name == "sqlite" else _POSTGRES).format(own=own)
    found: dict[str, Any] = {row[0]: row[1] for row in connection.exec_driver_sql(sql)}
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
    found["version"] = sorted(str(row[0]) for row in rows)
    return json.dumps(found, sort_keys=True, default=repr)


def ddl_hash(ddl: str) -> str:
    """The hash by which a schema is known."""
    return sha256(ddl.encode("utf-8", "surrogateescape")).hexdigest()


def differences(before: str, after: str) -> list[tuple[str, str]]:
    """What became of which object: (name, added | removed | changed)."""
    old, new = _parse(before), _parse(after)
    found = [(name, "removed") for name in old.keys() - new.keys()]
    found += [(name, "added") for name in new.keys() - old.keys()]
    found += [(name, "changed") for name in old.keys() & new.keys() if old[name] != new[name]]
    return sorted(found)


def _parse(ddl: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(ddl)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
