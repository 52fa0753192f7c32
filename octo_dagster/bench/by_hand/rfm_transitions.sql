-- From which RFM segment 90 days ago to which today, how many customers and what they are worth.
with moments as (
    select unnest([0, 1]) as moment, date '$as_of' - unnest([90, 0]) as day),
steps as (
    select customer_id,
           case when ordered_at < date '$as_of' - 89 then 0 else 1 end as step,
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
    select customer_id, moment, cents,
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
    select max(3 * ((fm - 1) // 2) + (r - 1) // 2) filter (moment = 0) as cell_then,
           max(3 * ((fm - 1) // 2) + (r - 1) // 2) filter (moment = 1) as cell_now,
           max(cents) filter (moment = 1) as cents
    from classed group by customer_id),
labels as (
    select unnest(['Passive small customers', 'Small customers slowing down', 'Recent small customers',
                   'Regular customers becoming passive', 'Regular customers slowing down',
                   'Regular active customers', 'Best customers becoming passive',
                   'Best customers slowing down', 'Best active customers']) as label,
           unnest([7, 8, 9, 4, 5, 6, 1, 2, 3]) as place,
           unnest(range(9)) as cell)
select coalesce(before.label, '(new)') as from_segment, now.label as to_segment, count(*) as customers,
       cast(sum(cents) * 0.01 as decimal(18, 2)) as revenue,
       coalesce(before.place, 0) as from_place, now.place as to_place
from beside join labels now on now.cell = cell_now left join labels before on before.cell = cell_then
group by all
order by from_segment, to_segment
