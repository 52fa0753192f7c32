-- RFM 90 and 30 days ago and today, beside each other, and the movement since the first.
with moments as (
    select unnest([0, 1, 2]) as moment, date '$as_of' - unnest([90, 30, 0]) as day),
steps as (
    select customer_id,
           case when ordered_at < date '$as_of' - 89 then 0 when ordered_at < date '$as_of' - 29 then 1 else 2
               end as step,
           count(*) filter (where status = 'completed' and net_amount > 0) as n,
           cast(sum(case when status = 'completed' or net_amount < 0 then net_amount * 100 else 0 end) as bigint)
               as cents,
           max(ordered_at) filter (where status = 'completed' and net_amount > 0) as last_at
    from orders
    where customer_id is not null and status <> 'cancelled' and ordered_at < date '$as_of' + 1
    group by all),
running as (
    select customer_id, step, sum(n) over w as n, cast(sum(cents) over w as bigint) as cents,
           max(last_at) over w as last_at, lead(step) over w as until
    from steps window w as (partition by customer_id order by step)),
figures as (
    select customer_id, moment, n, cents, date_diff('day', cast(last_at as date), day) as d
    from running join moments on step <= moment and (until is null or moment < until)
    where n > 0),
classed as (
    select customer_id, moment,
           1 + 6 * (rank() over (partition by moment order by -d) - 1) // count(*) over (partition by moment)
               as r,
           case when n = 1 then 1
                else 2 + 5 * (rank() over (partition by moment, n > 1 order by n) - 1)
                         // count(*) over (partition by moment, n > 1) end as f,
           case when cents < 0 then 1
                else 1 + 6 * (rank() over (partition by moment order by cents) - 1)
                         // count(*) over (partition by moment) end as m,
           (f + m + 1) // 2 as fm
    from figures),
beside as (
    select customer_id,
           max(r) filter (where moment = 0) as r0, max(fm) filter (where moment = 0) as fm0,
           max(r) filter (where moment = 1) as r1, max(fm) filter (where moment = 1) as fm1,
           max(r) filter (where moment = 2) as r2, max(fm) filter (where moment = 2) as fm2,
           r2 - r0 as dr, fm2 - fm0 as dfm, dr + dfm as points
    from classed group by customer_id),
labels as (
    select unnest(['Passive small customers', 'Small customers slowing down', 'Recent small customers',
                   'Regular customers becoming passive', 'Regular customers slowing down',
                   'Regular active customers', 'Best customers becoming passive',
                   'Best customers slowing down', 'Best active customers']) as label,
           unnest(range(9)) as cell)
select customer_id, recent.label as rfm_segment_30d_ago, earlier.label as rfm_segment_90d_ago,
       case when points >= 2 then 'rising' when points <= -2 then 'falling'
            when points is not null then 'steady' else 'new' end as rfm_trend,
       points as rfm_trend_points, dr as rfm_recency_change, dfm as rfm_frequency_monetary_change
from beside
left join labels recent on recent.cell = 3 * ((fm1 - 1) // 2) + (r1 - 1) // 2
left join labels earlier on earlier.cell = 3 * ((fm0 - 1) // 2) + (r0 - 1) // 2
where r2 is not null
order by customer_id
