-- The rhythm within categories with its default settings, as a careful person writes it for DuckDB.
with bought as (
    select distinct customer_id, category, ordered_at::date as d
    from orders join order_lines using (order_id) join products using (product_id)
    where customer_id is not null and status = 'completed' and orders.net_amount > 0
      and ordered_at < date '$as_of' + 1 and category is not null
      and coalesce(quantity, 1) > 0 and not coalesce(is_return, false)),
gaps as (
    select *, d - lag(d) over (partition by customer_id, category order by d) as gap from bought),
known as (
    select customer_id, category, count(*) as n, min(d) as first_on, max(d) as last_on,
           coalesce(sum(floor(ln(gap) * 1e6 + 0.5)::bigint), 0)::bigint as ln_gaps
    from gaps group by 1, 2),
summed as (
    select category, sum(1000 * ln_gaps // (n + 1)) as lns, sum(1000000 * (n - 1) // (n + 1)) as weights,
           count(*) filter (n > 1) as came_back
    from known group by 1),
usual as (
    select category, floor(lns::double / nullif(weights::double, 0) * 1000 + 0.5)::bigint as own,
           floor((sum(lns) over ())::double / nullif((sum(weights) over ())::double, 0) * 1000 + 0.5)::bigint as anybodys,
           came_back >= 30 as typical, case when typical then own else anybodys end as ln_gap
    from summed),
cycled as (
    select *, floor(exp((2 * (ln_gaps + 2 * ln_gap) + n + 1) // (2 * (n + 1)) / 1e6) * 100 + 0.5)::bigint as cycle
    from known join usual using (category)),
placed as (
    select *, (date '$as_of' - last_on) * 1000000::bigint // cycle as passed,
           last_on + ((cycle + 99) // 100)::integer as due_on
    from cycled)
select customer_id, category,
       case when n < 2 or cycle is null then 'single purchase' when passed < 7500 then 'recent purchase'
            when passed < 10000 then 'soon reached' when passed < 20000 then 'late'
            when passed < 40000 then 'very late' else 'inactive' end as rfi_label,
       (passed::decimal(18, 0) * 0.0001)::decimal(18, 4) as rfi_ratio,
       (cycle::decimal(18, 0) * 0.01)::decimal(18, 2) as rfi_avg_delay,
       due_on as rfi_next_expected_date,
       case when due_on is not null then greatest(date '$as_of' - due_on, 0) end as rfi_days_late,
       n as rfi_purchase_days,
       case when cycle is null then null
            when typical then if(n > 1, 'own+category', 'category')
            else if(n > 1, 'own+population', 'population') end as rfi_cycle_source,
       (floor(n / (date '$as_of' - first_on + 30) / ((passed / 40000) * (passed / 40000) + 1) * 1000000
              + 0.5)::bigint::decimal(18, 0) * 0.000001)::decimal(18, 6) as return_index
from placed order by customer_id, category
