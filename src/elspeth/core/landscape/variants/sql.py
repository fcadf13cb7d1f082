"""The statement behind `get_variant_metrics`: one pass in the database, one line per variant.

Percentiles weigh the two rows next to place p·(n−1) of the sorted latencies by how near they are,
which is what PostgreSQL's percentile_cont computes, and needs no function that SQLite lacks.
"""

from collections.abc import Callable, Mapping

from elspeth.core.landscape.views import DIALECTS, OUTCOME, ROW_ID, STATE_ID

REFUSED = """CASE WHEN status <> 'success'
    AND (error LIKE '%"kind":"refusal"%' OR error LIKE '%"kind":"content_filter"%') THEN 1 ELSE 0 END"""
"""Of a call on record: whether the model refused, or a content filter withheld the answer.

Errors are recorded as JSON without spaces, in which no quoted text can look like a key.
"""

_REFUSED_CALL = REFUSED.replace("status", "c.status").replace("error", "c.error")


def _percentile(share: str) -> str:
    distance = f"ABS(place - {share} * (timed - 1))"
    return f"SUM(CASE WHEN latency_ms IS NOT NULL AND {distance} < 1 THEN latency_ms * (1 - {distance}) END)"


def _by_row(duration: str) -> str:
    """What was done for every assigned row, in all nodes: all that a record of single calls can tell."""
    return f"""states AS (
    SELECT {ROW_ID} AS row_id, {STATE_ID} AS state_id, s.status, s.attempt,
        MAX(s.attempt) OVER (PARTITION BY t.row_no, t.token_no, s.step_index) AS last_attempt,
        CASE WHEN s.end_slot IS NOT NULL THEN CAST({duration} AS DOUBLE PRECISION) / 1000.0 END AS duration_ms
    FROM traces t JOIN runs r ON r.run_no = t.run_no
    JOIN path_steps s ON s.run_no = t.run_no AND s.path_no = t.path_no
    WHERE r.run_id = :run_id),
worked AS (
    SELECT row_id, SUM(duration_ms) AS latency_ms,
        MAX(CASE WHEN status = 'completed' THEN 1 ELSE 0 END) AS good,
        MAX(CASE WHEN status = 'failed' AND attempt = last_attempt THEN 1 ELSE 0 END) AS bad
    FROM states GROUP BY row_id),
outcomes AS (
    SELECT {ROW_ID} AS row_id, {OUTCOME} AS outcome
    FROM traces t JOIN runs r ON r.run_no = t.run_no
    JOIN paths p ON p.run_no = t.run_no AND p.path_no = t.path_no
    LEFT JOIN edges e ON e.edge_id = p.last_edge_id
    LEFT JOIN nodes n ON n.run_id = e.run_id AND n.node_id = e.from_node_id
    WHERE r.run_id = :run_id AND p.ending IS NOT NULL),
ended AS (
    SELECT row_id, MAX(CASE WHEN outcome IN ('FAILED', 'QUARANTINED') THEN 1 ELSE 0 END) AS bad
    FROM outcomes GROUP BY row_id),
used AS (
    SELECT st.row_id, COUNT(*) AS calls, SUM(c.tokens_in) AS tokens_in, SUM(c.tokens_out) AS tokens_out,
        SUM(CAST(c.cost AS DOUBLE PRECISION)) AS cost, SUM({_REFUSED_CALL}) AS refused
    FROM states st JOIN calls c ON c.state_id = st.state_id WHERE c.run_id = :run_id GROUP BY st.row_id),
units AS (
    SELECT a.variant_id, w.latency_ms,
        CASE WHEN w.bad = 1 OR e.bad = 1 THEN 1 ELSE 0 END AS bad,
        CASE WHEN w.good = 1 OR e.bad = 0 THEN 1 ELSE 0 END AS good,
        COALESCE(u.calls, 0) AS calls, COALESCE(u.tokens_in, 0) AS tokens_in,
        COALESCE(u.tokens_out, 0) AS tokens_out, COALESCE(u.cost, 0.0) AS cost,
        COALESCE(u.refused, 0) AS refused
    FROM experiment_assignments a
    LEFT JOIN worked w ON w.row_id = a.row_id
    LEFT JOIN ended e ON e.row_id = a.row_id
    LEFT JOIN used u ON u.row_id = a.row_id
    WHERE a.run_id = :run_id AND a.experiment_id = :experiment_id)"""


def _by_node(duration: str) -> str:
    """What each variant's own node did: also those of shadows, to which no row is assigned."""
    return f"""variant_nodes AS (
    SELECT n.node_id, n.node_id AS variant_id FROM nodes n WHERE n.run_id = :run_id AND n.node_id IN :nodes),
states AS (
    SELECT s.node_id, {ROW_ID} AS row_id, {STATE_ID} AS state_id, s.status, s.attempt,
        MAX(s.attempt) OVER (PARTITION BY t.row_no, t.token_no, s.step_index) AS last_attempt,
        CASE WHEN s.end_slot IS NOT NULL THEN CAST({duration} AS DOUBLE PRECISION) / 1000.0 END AS duration_ms
    FROM traces t JOIN runs r ON r.run_no = t.run_no
    JOIN path_steps s ON s.run_no = t.run_no AND s.path_no = t.path_no
    WHERE r.run_id = :run_id AND s.node_id IN :nodes),
worked AS (
    SELECT node_id, row_id, SUM(duration_ms) AS latency_ms,
        MAX(CASE WHEN status = 'completed' THEN 1 ELSE 0 END) AS good,
        MAX(CASE WHEN status = 'failed' AND attempt = last_attempt THEN 1 ELSE 0 END) AS bad
    FROM states GROUP BY node_id, row_id),
used AS (
    SELECT st.node_id, st.row_id, COUNT(*) AS calls, SUM(c.tokens_in) AS tokens_in,
        SUM(c.tokens_out) AS tokens_out, SUM(CAST(c.cost AS DOUBLE PRECISION)) AS cost,
        SUM({_REFUSED_CALL}) AS refused
    FROM states st JOIN calls c ON c.state_id = st.state_id WHERE c.run_id = :run_id
    GROUP BY st.node_id, st.row_id),
units AS (
    SELECT v.variant_id, w.latency_ms, COALESCE(w.bad, 0) AS bad, COALESCE(w.good, 0) AS good,
        COALESCE(u.calls, 0) AS calls, COALESCE(u.tokens_in, 0) AS tokens_in,
        COALESCE(u.tokens_out, 0) AS tokens_out, COALESCE(u.cost, 0.0) AS cost,
        COALESCE(u.refused, 0) AS refused
    FROM experiment_assignments a
    JOIN variant_nodes v ON :paired = 1 OR v.node_id = :prefix || a.variant_id
    LEFT JOIN worked w ON w.row_id = a.row_id AND w.node_id = v.node_id
    LEFT JOIN used u ON u.row_id = a.row_id AND u.node_id = v.node_id
    WHERE a.run_id = :run_id AND a.experiment_id = :experiment_id)"""


def _statement(dialect: str, parts: Callable[[str], str]) -> str:
    time_at = DIALECTS[dialect].time_at
    duration = f"({time_at.format(x='s.end_slot')} - {time_at.format(x='s.start_slot')})"
    return f"""
WITH {parts(duration)},
placed AS (
    SELECT units.*, COUNT(latency_ms) OVER (PARTITION BY variant_id) AS timed,
        AVG(latency_ms) OVER (PARTITION BY variant_id) AS mean_ms,
        CASE WHEN latency_ms IS NOT NULL THEN ROW_NUMBER() OVER (
            PARTITION BY variant_id, CASE WHEN latency_ms IS NULL THEN 1 ELSE 0 END ORDER BY latency_ms) - 1
        END AS place
    FROM units),
counted AS (
    SELECT variant_id, COUNT(*) AS total, SUM(CASE WHEN bad = 0 THEN good ELSE 0 END) AS succeeded,
        SUM(bad) AS failed, AVG(latency_ms) AS mean_ms,
        CASE WHEN COUNT(latency_ms) > 1
            THEN SUM((latency_ms - mean_ms) * (latency_ms - mean_ms)) / (COUNT(latency_ms) - 1)
            END AS variance,
        {_percentile("0.5")} AS p50, {_percentile("0.95")} AS p95,
        {_percentile("0.99")} AS p99,
        CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(tokens_in) AS BIGINT) AS tokens_in,
        CAST(SUM(tokens_out) AS BIGINT) AS tokens_out, SUM(cost) AS cost,
        SUM(CASE WHEN refused > 0 THEN 1 ELSE 0 END) AS refused, CAST(SUM(refused) AS BIGINT) AS refused_calls
    FROM placed GROUP BY variant_id)
SELECT variant_id, total AS count, succeeded AS success_count, failed AS error_count,
    CAST(succeeded AS DOUBLE PRECISION) / NULLIF(succeeded + failed, 0) AS success_rate,
    CAST(failed AS DOUBLE PRECISION) / NULLIF(succeeded + failed, 0) AS error_rate,
    refused AS refused_count, refused_calls,
    CAST(refused AS DOUBLE PRECISION) / NULLIF(succeeded + failed, 0) AS refusal_rate,
    mean_ms AS latency_mean_ms, variance AS latency_variance_ms, p50 AS latency_p50_ms, p95 AS latency_p95_ms,
    p99 AS latency_p99_ms,
    tokens_in, tokens_out, tokens_in + tokens_out AS tokens_total, cost, calls
FROM counted ORDER BY variant_id"""


VARIANT_METRICS: Mapping[str, str] = {dialect: _statement(dialect, _by_row) for dialect in DIALECTS}
"""Dialect → statement with parameters ``run_id`` and ``experiment_id``."""

NODE_METRICS: Mapping[str, str] = {dialect: _statement(dialect, _by_node) for dialect in DIALECTS}
"""The same by the variants' nodes, whose ids stand for the variants; besides ``nodes``, ``paired`` (1, 0) and
``prefix``: what node ids begin with before the variant's id.
"""
