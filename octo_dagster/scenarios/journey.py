"""One day of everybody's way through the scenarios, as DuckDB queries: who leaves, who enters, who steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import sqlalchemy as sa

from octo_dagster.delta import quoted
from octo_dagster.scenarios.scenario import Scenario, in_order, rule_sql
from octo_dagster.scoring.measures.consent import CHANNELS, CONSENTS, DO_NOT_CONTACT, has_refused
from octo_dagster.scoring.measures.inbox import EventTypes
from octo_dagster.scoring.portable import midnight_after, share_digits
from octo_dagster.scoring.sql import compiled


def lay_out(connection: duckdb.DuckDBPyConnection, scenarios: Sequence[Scenario]) -> None:
    """The YAML files as two tables: `plans`, one row per scenario, and `steps`."""
    connection.execute(
        """create temp table plans (scenario varchar, over integer, on_purchase boolean,
             on_unsubscribe boolean, again_after bigint, measured_days bigint, holdout_digits varchar);
           create temp table steps (scenario varchar, step bigint, day integer, channel varchar,
             fallback varchar, title varchar, conditional boolean)"""
    )
    for s in scenarios:
        stops = ("purchase" in s.stop_on, "unsubscribe" in s.stop_on)
        plan = [s.name, s.over, *stops, s.again_after, s.measured_over, share_digits(float(s.holdout))]
        connection.execute("insert into plans values (?, ?, ?, ?, ?, ?, ?)", plan)
        for number, (day, step) in enumerate(zip(s.days, s.steps, strict=True), 1):
            told = [s.name, number, day, step.channel, step.instead, step.title, step.only is not None]
            connection.execute("insert into steps values (?, ?, ?, ?, ?, ?, ?)", told)


def with_events(connection: duckdb.DuckDBPyConnection, there: bool, names: EventTypes, as_of: date) -> None:
    """`purchases` and `refusals` by the end of the day: what makes customers leave."""
    end = f"timestamp '{midnight_after(as_of)}'"
    refused = compiled(has_refused(sa.column("event_type", sa.Text), names))
    none = "(select null as customer_id, '' as event_type, cast(null as timestamp) as occurred_at)"
    connection.execute(f"""
        create temp table purchases as select customer_id, ordered_at as happened_at from orders
            where status = 'completed' and net_amount > 0 and ordered_at < {end} and customer_id is not null;
        create temp table refusals as select customer_id, occurred_at as happened_at
            from {"message_events" if there else none} where {refused} and occurred_at < {end}""")


def look_up(
    connection: duckdb.DuckDBPyConnection, scenarios: Sequence[Scenario], base: str, as_of: date
) -> None:
    """`people`: of every customer the scenario he matches, the channels he may be reached by, the steps whose
    rule he matches, and his last order and unsubscription by the end of the day."""
    connection.execute(f"create temp view base as {base}")
    schema = connection.sql("select * from base limit 0").to_arrow_table().schema
    rules = "\n".join(
        f"when {rule_sql(s.rule, schema, as_of, s, 'rule')} then {quoted(s.name)}"
        for s in in_order(scenarios)
    )
    met = [
        f"case when {rule_sql(step.only, schema, as_of, s, f'steps.{n}.if')}"
        f" then {quoted(f'{s.name}:{n + 1}')} end"
        for s in scenarios
        for n, step in enumerate(s.steps)
        if step.only
    ]
    reach = ", ".join(
        f"case when {CONSENTS[c]} then {quoted(c)} end" if c in CONSENTS else quoted(c) for c in CHANNELS
    )
    banned = f"coalesce({DO_NOT_CONTACT}, false)" if DO_NOT_CONTACT in schema.names else "false"
    connection.execute(f"""
        create temp table people as
        with purchased as (select customer_id, max(happened_at) as last_order_at from purchases group by all),
        refused as (select customer_id, max(happened_at) as last_unsubscribe_at from refusals group by all),
        told as (
            select customer_id, cast(case when {banned} then null {rules} end as varchar) as wanted,
                   case when {banned} then [] else [{reach}] end as reach,
                   cast([{", ".join(met)}] as varchar[]) as met
            from base)
        select * from told left join purchased using (customer_id) left join refused using (customer_id)""")


LEAVE = """
create temp table stood as
with inside as (select * from scenario_enrolments where left_on is null),
bought as (
    select customer_id, min(happened_at) as happened_at from inside join purchases using (customer_id)
    where last_order_at is null or happened_at > last_order_at group by all),
refused as (
    select customer_id, min(happened_at) as happened_at from inside join refusals using (customer_id)
    where last_unsubscribe_at is null or happened_at > last_unsubscribe_at group by all),
dated as (
    select inside.*,
           -- greatest() passes over nulls: without the second condition everybody would have bought
           case when on_purchase and bought.happened_at is not null
                then greatest(cast(bought.happened_at as date), entered_on) end as bought_on,
           case when on_unsubscribe and refused.happened_at is not null
                then greatest(cast(refused.happened_at as date), entered_on) end as refused_on,
           case when entered_on + over <= $as_of then entered_on + over end as finished_on,
           case when people.customer_id is null then $as_of end as gone_on,
           case when plans.scenario is null then $as_of end as removed_on,
           least(bought_on, refused_on, finished_on, gone_on, removed_on) as out_on
    from inside left join plans using (scenario) left join people using (customer_id)
    left join bought using (customer_id) left join refused using (customer_id))
select * exclude (bought_on, refused_on, finished_on, gone_on, removed_on, out_on) replace (
    out_on as left_on,
    case out_on when bought_on then 'bought' when refused_on then 'unsubscribed'
         when finished_on then 'finished' when gone_on then 'gone'
         when removed_on then 'removed' end as left_because,
    case when out_on is null then next_action_on end as next_action_on)
from dated
"""
"""`stood`: who was in a scenario, with the first thing that made him leave, if any; purchases first."""

ENTER = """
create temp table entering as
with past as (
    select scenario, customer_id, left_on, left_because from scenario_enrolments where left_on is not null
    union all select scenario, customer_id, left_on, left_because from stood where left_on is not null),
left_it as (select scenario as wanted, customer_id, max(left_on) as left_on from past group by all),
left_any as (
    select customer_id, max(left_on) as out_on from past where left_because <> 'bought' group by all)
select wanted as scenario, customer_id, $as_of as entered_on,
       md5(wanted || ':' || customer_id) < holdout_digits as holdout, measured_days,
       last_order_at, last_unsubscribe_at
from people join plans on plans.scenario = wanted
anti join (from stood where left_on is null) using (customer_id)
left join left_it using (wanted, customer_id) left join left_any using (customer_id)
where greatest(left_on, out_on) is null or $as_of - greatest(left_on, out_on) >= again_after
"""
"""`entering`: who matches a scenario, is in none, and has had his rest."""

STEP = """
create temp table moved as
with inside as (
    from stood where left_on is null
    union all by name select *, 0 as step, 0 as actions from entering),
due as (
    select customer_id, max(steps.step) as due from inside join steps using (scenario)
    where not holdout and entered_on + day <= $as_of group by all),
reached as (
    select inside.*, due > inside.step as fresh, coalesce(greatest(due, inside.step), inside.step) as at_step,
           reach, met
    from inside left join due using (customer_id) left join people using (customer_id)),
weighed as (
    select reached.*, day, title, following_day, list_contains(reach, channel) as open,
           not conditional or list_contains(met, reached.scenario || ':' || at_step) as meets,
           case when open and meets then channel
                when list_contains(reach, fallback) then fallback end as chosen
    from reached left join steps on steps.scenario = reached.scenario and steps.step = at_step
    left join (select scenario, step - 1 as before, day as following_day from steps) following
        on following.scenario = reached.scenario and before = at_step),
settled as (
    select * replace (
        at_step as step,
        case when fresh then entered_on + day else step_on end as step_on,
        case when fresh then chosen when list_contains(reach, action) then action end as action,
        case when fresh then title else action_name end as action_name,
        case when fresh then case when chosen is not null then null when open then 'condition not met'
                                  else 'no consent' end
             when action is not null and not list_contains(reach, action) then 'consent withdrawn'
             else skipped end as skipped,
        actions + case when fresh and chosen is not null then 1 else 0 end as actions,
        case when not holdout then entered_on + following_day end as next_action_on)
    from weighed)
select * exclude (at_step, reach, met, day, title, open, meets, chosen, following_day)
    replace (case when action is not null then action_name end as action_name)
from settled
union all by name from stood where left_on is not null
union all by name from scenario_enrolments where left_on is not null
"""
"""`moved`: the new table; `fresh` marks the customers whose step came in this run."""


def move(connection: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """`moved`: all enrolments as they stand at the end of the day."""
    for statement in (LEAVE, ENTER, STEP):
        connection.execute(statement.replace("$as_of", f"date '{as_of}'"))
