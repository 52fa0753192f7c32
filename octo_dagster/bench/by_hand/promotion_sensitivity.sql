-- Promotion sensitivity with its default settings, as a careful person writes it for DuckDB.
with priced as (
    select customer_id,
           cast(coalesce(gross_amount, net_amount + discount_amount) * 100 as bigint) as gross,
           cast(coalesce(discount_amount, gross_amount - net_amount) * 100 as bigint) as given
    from orders
    where customer_id is not null and status = 'completed' and ordered_at < date '$as_of' + 1),
summed as (
    select customer_id,
           count(*) filter (gross > 0) as n,
           count(*) filter (gross > 0 and given > 0) as discounted,
           count(*) filter (gross > 0 and 10 * given >= gross) as promo,
           coalesce(sum(gross) filter (gross > 0), 0)::bigint as g,
           coalesce(sum(least(greatest(given, 0), gross)) filter (gross > 0), 0)::bigint as d,
           count(*) - n as left_out
    from priced group by customer_id),
shop as (
    select sum(n)::double as sn, sum(promo)::double as sp, sum(g)::double as sg, sum(d)::double as sd from summed),
shares as (
    select *, (2000000 * discounted + n) // (2 * n) as cu, (2000000 * d + g) // (2 * g) as vu,
           (d + 4 * (sd / sn)) / (g + 4 * (sg / sn)) as v, (promo + 4 * (sp / sn)) / (n + 4) as o
    from summed, shop where n > 0),
measures as (
    select *, (80 * vu + 20 * cu + 50) // 100 as wu,
           floor((70 * coalesce(v / nullif(sd / sg, 0), 1) + 30 * coalesce(o / nullif(sp / sn, 0), 1)) / 100
                 * 1000000 + 0.5)::bigint as r
    from shares)
select customer_id,
       cu::decimal(18, 0) * 0.0001 as discount_count_percent,
       vu::decimal(18, 0) * 0.0001 as discount_value_percent,
       wu::decimal(18, 0) * 0.0001 as weighted_discount_percent,
       1 + 10 * (rank() over (order by wu) - 1) // count(*) over () as discount_sensitivity,
       (200 * (rank() over (order by r) - 1) + count(*) over ()) // (2 * count(*) over ()) as promophilia,
       case when r >= 1250000 then 'promophile' when r <= 750000 then 'averse' else 'average' end
           as promophilia_class,
       r::decimal(18, 0) * 0.000001 as promophilia_ratio,
       floor(100 * v * 10000 + 0.5)::bigint::decimal(18, 0) * 0.0001 as promophilia_value_percent,
       floor(100 * o * 10000 + 0.5)::bigint::decimal(18, 0) * 0.0001 as promophilia_order_percent,
       n as promophilia_orders, promo as promophilia_promo_orders, left_out as promophilia_orders_left_out
from measures order by customer_id
