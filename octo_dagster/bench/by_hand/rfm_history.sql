-- RFM at the end of each of the twelve months that were over by the day, the month before them for comparison.
with months as (
    select i as month,
           cast(date_trunc('month', date '$as_of' + 1) - to_months(13 - cast(i as integer)) as date) as first,
           last_day(first) as last
    from range(13) t(i)),
steps as (
    select customer_id,
           greatest(0, 13 + date_diff('month', date '$as_of' + 1, ordered_at)) as step,
           count(*) filter (where status = 'completed' and net_amount > 0) as n,
           cast(sum(case when status = 'completed' or net_amount < 0 then net_amount * 100 else 0 end) as bigint)
               as cents,
           max(ordered_at) filter (where status = 'completed' and net_amount > 0) as last_at
    from orders
    where customer_id is not null and status <> 'cancelled'
      and ordered_at < date_trunc('month', date '$as_of' + 1)
    group by all),
running as (
    select customer_id, step, sum(n) over w as n, cast(sum(cents) over w as bigint) as cents,
           max(last_at) over w as last_at, lead(step) over w as until
    from steps window w as (partition by customer_id order by step)),
figures as (
    select customer_id, month, n, cents, date_diff('day', cast(last_at as date), last) as d
    from running join months on step <= month and (until is null or month < until)
    where n > 0),
classed as (
    select customer_id, month,
           1 + 6 * (rank() over (partition by month order by -d) - 1) // count(*) over (partition by month) as r,
           case when n = 1 then 1
                else 2 + 5 * (rank() over (partition by month, n > 1 order by n) - 1)
                         // count(*) over (partition by month, n > 1) end as f,
           case when cents < 0 then 1
                else 1 + 6 * (rank() over (partition by month order by cents) - 1)
                         // count(*) over (partition by month) end as m,
           (f + m + 1) // 2 as fm
    from figures),
labels as (
    select unnest(['Passive small customers', 'Small customers slowing down', 'Recent small customers',
                   'Regular customers becoming passive', 'Regular customers slowing down',
                   'Regular active customers', 'Best customers becoming passive',
                   'Best customers slowing down', 'Best active customers']) as label,
           unnest(range(9)) as cell),
beside as (
    select customer_id, month, r, fm, 3 * ((fm - 1) // 2) + (r - 1) // 2 as cell,
           lag(cell) over (partition by customer_id order by month) as cell_before
    from classed)
select customer_id, first as period_start, last as period_end, r as rfm_recency,
       fm as rfm_frequency_monetary, now.label as rfm_segment, before.label as rfm_previous_segment
from beside join months using (month) join labels now using (cell)
left join labels before on before.cell = cell_before
where month > 0
order by customer_id, period_end
