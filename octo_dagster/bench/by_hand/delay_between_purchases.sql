-- Days from the first purchase to the last by the delays between them, halves upwards.
select customer_id,
       case when n > 1 then (2 * span + n - 1) // (2 * (n - 1)) end as avg_delay_between_orders,
       n as delay_orders,
       span as delay_days
from (select customer_id, count(*) as n,
             date_diff('day', cast(min(ordered_at) as date), cast(max(ordered_at) as date)) as span
      from orders
      where customer_id is not null and status = 'completed' and net_amount > 0
        and ordered_at < date '$as_of' + 1
      group by customer_id)
order by customer_id
