-- The store with most purchases, web shops left out; between equals the one of the latest purchase.
with counts as (
    select customer_id, store_id, count(*) as n, max(ordered_at) as last_at
    from orders anti join (select store_id from stores where is_online) using (store_id)
    where customer_id is not null and store_id is not null and status = 'completed' and net_amount > 0
      and ordered_at < date '$as_of' + 1
    group by all),
best as (
    select *, row_number() over (partition by customer_id order by n desc, last_at desc, store_id) as place
    from counts qualify place = 1)
select customer_id, store_id as favorite_store_id, name as favorite_store_name, n as favorite_store_orders,
       last_at as favorite_store_last_order_at
from best left join stores using (store_id)
order by customer_id
